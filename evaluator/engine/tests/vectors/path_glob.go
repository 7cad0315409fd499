// Command path_glob writes what doublestar says about many globs and paths, for `tests/path_glob.rs` to compare with.
//
// Run it again after adding a glob or a path, in an empty directory:
//
//	go mod init vectors && go get github.com/bmatcuk/doublestar/v4@v4.10.4
//	go run …/evaluator/engine/tests/vectors/path_glob.go > …/evaluator/engine/tests/vectors/path_glob.jsonl
//
// The first line holds the paths. Every other line holds one glob and the paths that it matches, by their place in
// the list. Null stands for a glob that is refused.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"github.com/bmatcuk/doublestar/v4"
)

type row struct {
	Glob  string `json:"glob"`
	Paths []int  `json:"paths"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(paths); err != nil {
		panic(err)
	}
	for _, glob := range globs {
		result := row{Glob: glob}
		if doublestar.ValidatePattern(glob) {
			result.Paths = []int{}
			for place, path := range paths {
				if doublestar.MatchUnvalidated(glob, path) {
					result.Paths = append(result.Paths, place)
				}
			}
		}
		if err := lines.Encode(result); err != nil {
			panic(err)
		}
	}
}

var paths = []string{
	"", "/", "a", "/a", "/a/", "/b", "/ab", "/abc", "/a/b", "/a/b/", "/a/b/c", "/a//b", "//", "//a", "/a/x/y/z/b", "/A", "/é", "/a-b", "/a,b", "/{a}", "/a]", "/a[b", "/*", "/a*", "/?", "\\", "/a\\b", "/.", "/..", "/.a", "/a.b",
	"/etc", "/etc/", "/etc/passwd", "/etc/shadow", "/etc/PASSWD", "/etc/ssh/sshd_config", "/etc/ssh/keys/id.pub", "/etc/cron.d/x", "/etcx", "/var/log/a.log", "/var/log/b/a.log", "/var/run/docker.sock", "/run/docker.sock", "/usr/bin/ls", "/usr/local/bin/x",
	"/bin/sh", "/bin/bash", "/tmp/x", "/tmp/.x", "/home/a/.ssh/authorized_keys", "/root/.ssh/authorized_keys", "/home/a/b/.ssh/id_rsa", "/proc/1/mem", "/proc/12/mem", "/proc/self/mem", "/中文/x", "/a\nb", "/a b", "b", "ab", "a/b", "a/b/c", "/aa", "/aaa", "/a/a", "/a/a/a", "/b/a", "/c", "/d",
}

var globs = []string{
	"", "/", "*", "**", "/*", "/**", "/**/", "**/", "/**/*", "**/*", "/*/", "/*/*", "/a", "/a/", "/a/*", "/a/**", "/a/**/", "/a/**/*", "/a/**/b", "/a/*/b", "/a**", "/a**/b", "/**a", "/**/a", "**/a", "**/b", "/a***", "/***", "/a/***", "/****", "/**/**", "/**/**/a", "/a/**/**/b", "/*a*", "/a*b", "/?", "/??", "/a?b", "?", "/a/?", "/?/?",
	"/[a]", "/[ab]", "/[^a]", "/[!a]", "/[a-c]", "/[^a-c]", "/[a-]", "/[-a]", "/[c-a]", "/[a-c-e]", "/[]", "/[]a]", "/[^]", "/[^]a]", "/[!]", "/[", "/[a", "/[a-", "/[\\]]", "/a[\\[]b", "/a[[]b", "/a[^x]b", "/a[/]b", "/[a\\-c]", "/[\\a-\\c]", "/[é]", "/[à-ü]", "/[*]", "/[?]", "/a[^b]", "/[A-z]", "/[中]文/*", "/[a-c]/**",
	"{a,b}", "/{a,b}", "/{a,b}/*", "/{a,b}{b,c}", "/{a,{b,c}}", "/{a,{b,c}d}", "/{a/b,b}", "/{a,}", "/{,a}", "/a{,/**}", "/a{/**,}", "/a/{**,x}", "/a/{**/,}b", "/{**,a}", "/{*,a/b}", "/{", "/}", "/{a", "/a}", "/{a,b", "/{}", "/{}a", "/{a}", "/\\{a\\}", "/{\\,a,a\\,b}", "/{[,}],a}", "/{[}],a}", "/a,b", "/{a-b,c}", "/{a,b}**", "/{a,b/}**", "/{,a/}**/b",
	"\\", "/\\", "/a\\", "\\\\", "/a\\\\b", "/\\a", "/\\*", "/a\\*", "/\\?", "/\\[a\\]", "/a\\]", "/a]", "/\\é", "/a\\/b", "/a\\/**",
	"/etc/**", "/etc/*", "/etc/passwd", "/etc/{passwd,shadow}", "/etc/pass*", "/etc/ssh/**", "/etc/**/*.pub", "/etc/ssh/{sshd_config,keys/*}", "/var/**/*.log", "/var/log/*.log", "/{var/,}run/docker.sock", "{/var,}/run/docker.sock", "/**/.ssh/authorized_keys", "/home/*/.ssh/*", "/home/**/.ssh/*", "/{root,home/*}/.ssh/**", "/proc/*/mem", "/proc/[0-9]*/mem", "/proc/[^s]*/mem", "/{usr/,}{s,}bin/*", "/usr/**/bin/*", "/bin/{ba,}sh", "/tmp/.*", "/tmp/[^.]*", "/**/*", "/中*/x", "/a\nb", "/a b", "/*\n*", "/**/x", "/**/*.*", "/.*", "/.", "/..", "/*.b", "/a?*", "/*?", "/*/a", "/**/a/**", "/**/a/a", "/a/**/a", "/*a", "/*aa", "/a*a", "/a*a*", "/a*/*a",
}
