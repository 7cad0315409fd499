// Command go_regex writes what Go regexp says about many patterns and texts, for `tests/go_regex.rs` to compare with.
//
// Run it again after adding a pattern or a text, with Go 1.26:
//
//	cd evaluator/engine/tests/vectors && go run go_regex.go > go_regex.jsonl
//
// The first line holds the texts. Every other line holds one pattern and a bit per text, set where it matches: as a
// whole and somewhere in it, both without regard to case, as StackRox compiles them. Four texts share a hexadecimal
// digit, the first of them has its highest bit. Null stands for a pattern that Go refuses.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"strings"
)

type header struct {
	Texts []string `json:"texts"`
}

type row struct {
	Pattern  string  `json:"pattern"`
	Whole    *string `json:"whole"`
	Contains *string `json:"contains"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	all := texts()
	must(lines.Encode(header{all}))
	seen := map[string]bool{}
	for _, pattern := range patterns() {
		if !seen[pattern] {
			seen[pattern] = true
			must(lines.Encode(row{pattern, verdicts("^(?i:"+pattern+")$", all), verdicts("(?i:"+pattern+")", all)}))
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func verdicts(pattern string, texts []string) *string {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	var digits strings.Builder
	for start := 0; start < len(texts); start += 4 {
		digit := 0
		for place := 0; place < 4; place++ {
			if start+place < len(texts) && compiled.MatchString(texts[start+place]) {
				digit |= 8 >> place
			}
		}
		digits.WriteByte("0123456789abcdef"[digit])
	}
	result := digits.String()
	return &result
}

func texts() []string {
	texts := []string{""}
	// Every ASCII character and every one that folds to or is near one.
	for c := rune(0); c < 0x80; c++ {
		texts = append(texts, string(c))
	}
	for _, c := range "\u0085\u00a0\u00aa\u00b5\u00bd\u00df\u00c9\u00e9\u00ff\u0130\u0131\u017f\u01c5\u0300\u0345\u0391\u03b1" +
		"\u03a3\u03c3\u03c2\u03bc\u0410\u0430\u05d0\u0661\u0967\u1680\u1e9e\u2000\u200b\u2028\u2029\u2014\u20ac\u212a\u212b" +
		"\u2167\u2160\u24b6\u3000\u3042\u4e2d\uac00\ufb05\ufb06\ufeff\uff11\uff21\uff3f\ufffd\ue000\U0001043c\U00010414\U0001f600\U0010ffff" {
		texts = append(texts, string(c))
	}
	return append(texts,
		"ab", "ba", "AB", "aB", "abc", "ABC", "abcd", "abb", "abbb", "aab", "aaa", "aaaa", "aaaaa", "ac", "bc", "b.c", "a.c",
		"a\nb", "a\nc", "\na", "a\n", "\n\n", "a\tb", "a b", " a", "a ", "a\u00a0b", "a\u000bb", "a-b", "a_b", "a&&b", "a&b", "a--b", "a~~b",
		"[a]", "[b", "]", "a]", "[[:alpha:]]", "{,2}", "a{,2}", "a{,2}a", "a{", "a{1", "a{01}", "a{1,x}", "x{1}", "<a>", "<", "a<b", "\\", "\\d",
		"a+b", "a.b", "a*b", "(a)", "(", ")", "a|b", "$", "^", "^a$", "123", "42", "1.2.3", "٣", "٣٤", "१२", "é", "É", "éa", "aé", "éé",
		"ſ", "K", "kill", "Kill", "KILL", "ſh", "sh", "SH", "baſh", "bash", "BASH", "/bin/bash", "/bin/sh", "/usr/bin/curl", "curl", "CURL",
		"wget", "wget http://x", "apt-get", "apt", "apk", "yum", "dnf", "apt-get update && apt-get install -y curl",
		"nginx", "NGINX", "library/nginx", "nginx:latest", "latest", "v1", "v1.2.3", "1.2", "debian:12", "docker.io", "quay.io", "gcr.io",
		"registry.example.com:5000", "RAW\tAWS_SECRET_ACCESS_KEY\tabc", "RAW\tPASSWORD\thunter2", "SECRET_KEY\tfoo\t", "\tKEY\t", "a\tb\tc", "RUN\tapt-get install curl",
		"ADD\thttp://x", "openssl\t1.1.1k", "log4j-core\t2.14.1", "CVE-2021-44228", "cve-2014-0160", "CVE-2021-1", "kube-system", "openshift-ingress",
		"kube.system", "kubeXsystem", "default", "istio-system", "prod", "production", "my-prod-app", "haproxy-", "haproxy---", "haproxy-1",
		"system:admin", "system:serviceaccount:default:builder", "admin@example.com", "ROOT", "root", "0", "1000", "1000:1000", "HostPath",
		"/var/run/docker.sock", "/etc", "/etc/passwd", "/", "/proc/self", "nc", "ncat", "netcat", "-e /bin/sh", "nc -e /bin/sh 10.0.0.1 4444",
		"--privileged", "chmod +x", "chmod 777 /tmp", "xmrig", "stratum+tcp://pool", "kubectl", "useradd -u 0 -o", "iptables -F", "unset", "team=a",
		"owner", "email", "x@y.z", "2024-01-01", "10.0.0.1", "fe80::1", "A\u212a", "STRASSE", "straße", "STRAßE", "ΣΑΣ", "σας", "Σ", "дом", "ДОМ", "中文", "😀", "a😀b",
	)
}

func patterns() []string {
	patterns := []string{}
	add := func(more ...string) { patterns = append(patterns, more...) }

	// Letters after a backslash, alone, in a class, negated in a class, repeated.
	for c := rune(0x20); c < 0x7f; c++ {
		add(`\`+string(c), `[\`+string(c)+`]`, `[^\`+string(c)+`]`, `a\`+string(c)+`b`, string(c), `a`+string(c), `[`+string(c)+`]`)
	}
	for _, class := range []string{`\d`, `\D`, `\w`, `\W`, `\s`, `\S`, `.`, `\b`, `\B`} {
		add(class+`+`, class+`*`, `a`+class+`b`, `(?-i)`+class, `(?-i:`+class+`)`, `(?s)`+class, `(?m)`+class, `[^`+class+`]`, `[a`+class+`]`,
			`(?-i)[`+class+`]`, `(?-i)[^`+class+`]`, `^`+class+`$`, `(`+class+`){2}`)
	}
	for _, name := range []string{"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit",
		"foo", "Alpha", "", "al", "^"} {
		add(`[[:`+name+`:]]`, `[[:^`+name+`:]]`, `[^[:`+name+`:]]`, `[^[:^`+name+`:]]`, `(?-i)[[:`+name+`:]]`, `(?-i)[[:^`+name+`:]]`, `[:`+name+`:]`,
			`[[:`+name+`:]x]`, `[[:`+name+`:]-z]`)
	}
	for _, name := range []string{"L", "Lu", "Ll", "Lt", "Lm", "Lo", "LC", "lc", "N", "Nd", "Nl", "No", "P", "Pd", "Pc", "Ps", "S", "Sc", "Sm", "Z", "Zs", "Zl", "Zp",
		"C", "Cc", "Cf", "Cn", "Co", "Cs", "M", "Mn", "Greek", "greek", "GREEK", "Latin", "Han", "Cyrillic", "Hebrew", "Hiragana", "Common", "Inherited", "Nko",
		"Any", "any", "ASCII", "Ascii", "Assigned", "Letter", "letter", "Uppercase_Letter", "uppercase letter", "UppercaseLetter", "Decimal-Number", "digit", "punct", "cntrl",
		"Old_Italic", "OldItalic", "Linear_B", "SignWriting", "Grek", "Latn", "Alphabetic", "White_Space", "sc=Greek", "Script=Greek", "gc=Lu", "L&", "Foo", "", "^", "Is_Greek", "isGreek",
		"Uppercase", "Emoji", "Age=3.0", " L ", "l u", "Surrogate", "Unassigned"} {
		add(`\p{`+name+`}`, `\P{`+name+`}`, `\p{^`+name+`}`, `\P{^`+name+`}`, `[\p{`+name+`}]`, `[^\p{`+name+`}]`, `(?-i)\p{`+name+`}`, `(?-i)\P{`+name+`}`)
	}
	add(`\pL`, `\PL`, `\pN`, `\PN`, `\pl`, `\pX`, `\p`, `\P`, `\p{`, `\p{L`, `\p^L`, `\pé`, `[\pL\pN]+`, `[^\pL]+`, `\pL+`, `\pLu`, `\p{Greek}+`, `[\pL-z]`, `[a-\pL]`)

	// Characters by number.
	add(`\x41`, `\x4`, `\x`, `\xg1`, `\x4g`, `\x{41}`, `\x{}`, `\x{41`, `\x{g}`, `\x{10FFFF}`, `\x{110000}`, `\x{0000000041}`, `[\x{D800}-\x{DFFF}]`, `[^\x{D800}]`,
		`[\x{D7FF}-\x{E000}]`, `[\x00-\x{10FFFF}]`, `[^\x00-\x{10FFFF}]`, `[^\x00-\x{D7FF}\x{E000}-\x{10FFFF}]`, `[\x{D800}a]`, `\x{212a}`, `\x{17F}`, `(?-i)\x{212a}`, `(?-i)k`, `[\x41-\x43]`, `\x{ 41}`, `\x{4 1}`, `\xFF`, `\x{e9}`,
		`\0`, `\00`, `\000`, `\0000`, `\1`, `\8`, `\9`, `\10`, `\12`, `\101`, `\141`, `\1411`, `\18`, `\777`, `\400`, `[\101-\103]`, `[\1]`, `[\0]`, `(a)\1`, `\07`, `\08`, `\u0041`, `\U00000041`, `\cA`, `\e`)

	// Quoting.
	add(`\Qa.b\E`, `\Qa.b`, `\Qa|b\E`, `\Q\E`, `\Qa\E*`, `\Qab\E*`, `\Qab\E+c`, `a\Q\E*`, `a*\Q\E*`, `\Q\E*`, `\Q[a]\E`, `[\Qa\E]`, `\Q\\E`, `\Q\d\E`, `a\Q+\Eb`, `\E`, `a\E`, `\Qa\E\Qb\E`, `\Q(\E`, `(\Q)\E)`, `\Q{,2}\E`, `x\Q`)

	// Classes.
	add(`[]a]`, `[]`, `[^]a]`, `[^]`, `[a`, `[a-`, `[a-]`, `[-a]`, `[--a]`, `[a-b-c]`, `[+--]`, `[a-c]`, `[c-a]`, `[a-c-e]`, `[a-cx-z]`, `[^a-c]`, `[[a]`, `[[]`, `[a[]`, `[[a]]`, `[[a-b][c]]`, `[a&&b]`, `[a-z&&[^b]]`,
		`[&&]`, `[a--b]`, `[a-z--b]`, `[a~~b]`, `[~~]`, `[&&&]`, `[!a]`, `[#]`, `[# a]`, `[\]]`, `[\[]`, `[\\]`, `[\-a]`, `[a\-z]`, `[\^a]`, `[a^]`, `[^^]`, `[.]`, `[*+?]`, `[$]`, `[|]`, `[()]`, `[{}]`, `[\d-z]`, `[a-\d]`, `[\w-]`,
		`[\s\S]`, `[\s\S]*`, `[\d\D]`, `[^\s\S]`, `[\W\d]`, `[^\W]`, `[^\W\d_]+`, `[\w.-]+`, `[\w.-]+@[\w.-]+`, `[k]`, `[^k]`, `[s]`, `[^s]`, `[K]`, `[ſ]`, `[K]`, `[^K]`, `(?-i)[k]`, `(?-i)[^k]`, `[a-z]`, `[A-Z]`, `[^a-z]`, `(?-i)[a-z]`, `(?-i)[^A-Z]`,
		`[é]`, `[É]`, `[à-ÿ]`, `[α-ω]`, `[Α-Ω]`, `[^α-ω]`, `[σ]`, `[ς]`, `[ß]`, `[ẞ]`, `ß`, `ẞ`, `ss`, `[İ]`, `i`, `İ`, `ı`, `[ı]`, `[а-я]+`, `дом`, `ДОМ`, `[[:alpha:]`, `[[:alpha]`, `[[:alpha]]`, `[[:a]b[:]`, `[[.a.]]`, `[[=a=]]`, `[[:alpha:][:digit:]]+`,
		`[^[:alpha:][:digit:]]+`, `[[:word:]]+`, `[\n]`, `[^\n]`, `[^a]`, `[^\n]*`, `[ -~]`, `[ -~]*`, `[!-~]`, `[\t ]`, `[\v]`, `[\f\r]`, `[a-zA-Z0-9_.-]*`, `[0-9a-f]{4}`, `[\a]`, `[\b]`, `[\z]`, `[\A]`, `[\B]`, `[\<]`, `[\_]`, `[\é]`, `[a-\]]`, `[\x{61}-c]`, `[a\]b]`)

	// Repetition.
	add(`a*`, `a+`, `a?`, `a*?`, `a+?`, `a??`, `a**`, `a*+`, `a+*`, `a+++`, `a???`, `a*??`, `a?*`, `x*+`, `a{2}`, `a{2,}`, `a{2,3}`, `a{2}?`, `a{2,}?`, `a{2}{3}`, `a{2}*`, `a*{2}`, `a{2}+`, `a{2}??`, `a{0}`, `a{0,0}`, `a{0}b`, `a{0,1}`, `a{,2}`, `{,2}`, `a{,}`, `a{}`, `a{`, `a{1`, `a{1,`, `a{1,x}`,
		`a{x}`, `a{01}`, `a{1,02}`, `a{ 1}`, `a{1, 2}`, `a{3,2}`, `a{-1}`, `a{1000}`, `a{1001}`, `a{0,1000}`, `a{0,1001}`, `a{1001,}`, `a{1000,}`, `a{99999999999}`, `a{1,99999999999}`, `a{99999999999`, `(a{10}){100}`, `(a{10}){101}`, `(a{100}){10}`, `((a{10}){10}){10}`, `((a{10}){10}){11}`, `(a{2}|b{500}){2}`, `(a{2}|b{501}){2}`,
		`(a{0}){1000}`, `(a{1000}){1}`, `(a{1000}){0,1}`, `(a{1000}){0}`, `((a{1000}){0}){1000}`, `((a{1000})*){2}`, `(a{501}b?){2}`, `(?:a{1000})+`, `(a*)*`, `(a+)+`, `(?:a*)*`, `(?:a{2}){3}`, `(?:a?){3}`, `(a{0,}){1000}`, `(a{2,}){501}`, `(a{1,}){1000}`, `{`, `}`, `a}`, `{1}`, `{2}`, `*`, `+`, `?`, `*a`, `(*a)`, `(+)`, `a|*`, `|*`, `(|*)`, `a|b|*`, `^*`, `$*`, `^+`, `\b*`, `\b+a`, `\B?`, `()*`, `(?:)*`, `(?:)+`,
		`(?i)*`, `a(?i)*`, `a*(?i)*`, `a(?-i)+`, `(a|b)*`, `(?:ab)+`, `.*`, `.+`, `.?`, `.{3}`, `.{0,5}`, `.*.*.*`, `a.*b`, `a.+c`, `\d{3}`, `\w{2,4}`, `\s?`, `\x{61}{2}`, `é{2}`, `é+`, `\n+`, `a{1}`, `a{1}{1}`, `x{1}`, `{,2}*`, `a{,2}+`, `{{`, `a{2}b{3}`, `(?:a{2})?`, `(?U)a+`, `(?U)a+?`, `(?U)a{2}?`, `(?U)a??*`)

	// Groups and flags.
	add(`(a)`, `(a`, `a)`, `)`, `(`, `()`, `(|a)`, `(a|)`, `a||b`, `|`, `|a`, `a|`, `(?:a)`, `(?:a`, `(?:)`, `(?P<n>a)`, `(?P<n>a)(?P<n>b)`, `(?<n>a)`, `(?<n>a)(?<n>b)`, `(?P<>a)`, `(?P<n`, `(?P<n-m>a)`, `(?P<1>a)`, `(?P<é>a)`, `(?P<_>a)`, `(?P<n>)`, `(?P=n)`, `(?P>n)`, `(?'n'a)`, `(?<>a)`, `(?<`, `(?P<`, `(?P`, `(?<n m>a)`,
		`(?=a)`, `(?!a)`, `(?<=a)`, `(?<!a)`, `(?>a)`, `(?#a)`, `(?|a|b)`, `(?R)`, `(?1)`, `(?a)`, `(?x)a b`, `(?u)a`, `(?i)a`, `(?-i)a`, `(?i-i)a`, `(?-)a`, `(?i-)a`, `(?--i)a`, `(?-i-s)a`, `(?)`, `(?)a`, `(?:`, `(?`, `(?i`, `(?-i`, `(?i:`, `(?ims)a`, `(?imsU)a`, `(?ims-U)a`, `(?-imsU)a`, `(?is-m:a.)`, `(?U)a`, `(?I)a`, `(?i:a)b`,
		`(?-i:a)b`, `(?-i:A)b`, `(?-i)ab|AB`, `(?-i)a|(?i)b|c`, `a(?-i)b|c`, `a(?-i)b|C`, `(a(?-i)b)c`, `((?-i)a|b)c`, `((?-i)a)B`, `(?-i)kill`, `(?-i)Kill`, `(?s).`, `(?s).*`, `(?s)a.b`, `(?s:a.)b`, `(?-s).`, `(?s)(?-s).`, `a.b`, `(?m)^a$`, `(?m)^a`, `(?m)a$`, `(?m)^$`, `(?m)^b`, `(?m)a$\n^b`, `(?m:^)a`, `(?m)(?-m)^a`, `(?sm)^.*$`,
		`(?sm)a.^b`, `^a$`, `^a`, `a$`, `^$`, `^^a$$`, `a^b`, `a$b`, `\Aa\z`, `\Aa`, `a\z`, `\A\z`, `\Z`, `a\Z`, `(?m)\Aa\z`, `(?m)\Ab`, `$^`, `(^a|b$)`, `(^|b)a`, `a($|b)`, `\bab\b`, `\Bb`, `a\B`, `\b`, `\B`, `\b\B`, `a\b.b`, `\bé`, `é\b`, `\Bé\B`, `a\bé`, `é\Ba`, `\b\d+\b`, `\bcurl\b`, `\b(curl|wget)\b`, `\bK`, `\bk\b`, `\<a\>`, `\<`, `\>`, `a\<b`, `\_`, `\-`, `\/`, `\:`, `\@`, `\ `, "\\\t", "\\\n", `\é`, `\中`,
		`a)|(?:b`, `a)(b`, `a)|(b`, `a)*(?:b`, `\`, `a\`, `a\\`, `a\\\`, `[\`, `(?:a)|(?:b)`, `a))((b`, `a)$|^(?:b`, `)(`, `(?i)ſ`, `ſ`, `K`, `(?-i)ſ`, `(?-i)K`, `kill`, `Kill`, `bash`, `baſh`, `sh`, `µ`, `μ`, `å`, `Å`, `ﬅ`, `ﬆ`, `ǅ`, `Ⅷ`, `ⓐ`, `Ａ`, `𐐼`, `😀`, `a😀b`, `a.b`, `中文`, `中+`, `ͅ`, `ι`, "a\nb", "\n", "a\tb", "\t", " ", "a b")

	// What people write.
	add(`.*`, `.+`, `latest`, `.*latest.*`, `^latest$`, `v\d+(\.\d+)*`, `\d+\.\d+`, `library/.*`, `.*/nginx`, `nginx|httpd`, `docker\.io|quay\.io`, `(?:docker|quay)\.io`, `.*\.io`, `registry\.[a-z.]+(:\d+)?`, `apt-get|apt|apk`, `(apt-get|apt) (install|update).*`,
		`.*apt-get.*`, `apk|yum|dnf|microdnf|rpm`, `(RAW)\t(.*(PASSWORD|SECRET).*)\t(.+)`, `(.*)\t(.*SECRET.*|.*PASSWORD.*)\t(.*)`, `(.*)\t(.*)\t(.*)`, `(RUN)\t(.*curl.*)`, `(ADD)\t(https?://.*)`, `(openssl)\t(1\..*)`, `(log4j-core)\t(2\.(1[0-4]|[0-9])\..*)`, `(.*)\t(.*)`,
		`CVE-2021-.*`, `CVE-\d{4}-\d{4,}`, `cve-2014-0160|CVE-2021-44228`, `kube-system`, `kube.system`, `^kube-.*|^openshift-.*`, `kube-.*|openshift-.*|istio-system`, `haproxy-*`, `haproxy-.*`, `.*prod.*`, `prod(uction)?`, `(my-)?prod(-app)?`, `system:serviceaccount:.*`,
		`system:[^:]+`, `root|0`, `0|root|`, `[1-9]\d*`, `\d+(:\d+)?`, `/var/run/docker\.sock`, `(/var)?/run/(docker|crio|containerd)(\.sock|/.*)?`, `/etc(/.*)?`, `/|/etc|/proc/.*`, `/bin/(ba|da|z)?sh`, `(/usr)?/bin/.*sh`, `nc|ncat|netcat`, `-e\s+/bin/(ba)?sh`, `(nc|ncat).*-e\s`,
		`chmod\s+(\+x|[0-7]{3,4})`, `stratum\+(tcp|ssl)://`, `xmrig|minerd`, `useradd.*(-o|-u 0)`, `iptables\s+-[FX]`, `--privileged\b`, `(^|\s)--privileged(\s|$)`, `kubectl|oc`, `sh|bash|dash|zsh|ash`, `.{0,255}`, `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, `[A-Za-z0-9+/]{4,}={0,2}`, `(\d{1,3}\.){3}\d{1,3}`,
		`\d{4}-\d\d-\d\d`, `[^@]+@[^@]+\.[a-z]+`, `team|owner|email`, `team=.*`, `unset|default|`, `HostPath`, `hostpath`, `(?i)HOSTPATH`, `straße`, `STRASSE`, `σας`, `ΣΑΣ`, `[[:alpha:]]+`, `[[:upper:]]+`, `[[:lower:]]+`, `\w+`, `\w+-\w+`, `\S+`, `\S+\s+\S+.*`, `[\d.]+`, `(\w+\.)*\w+`)
	return patterns
}
