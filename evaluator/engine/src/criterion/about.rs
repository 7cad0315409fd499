//! What each criterion is about, for people: one line for each row of the table, in the same order, under the title
//! of its group.

/// A group of criteria as people meet it, and its criteria with what they look at.
pub(super) const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "Image registry",
        &[
            ("Image Registry", "the registry of a container's image, such as `docker.io`"),
            ("Image Remote", "the repository of a container's image, such as `library/nginx`"),
            ("Image Tag", "the tag of a container's image; empty when it is named by digest alone"),
            (
                "Image Signature Verified By",
                "the integrations that verified the image's signature; violated when none of those named did",
            ),
        ],
    ),
    (
        "Image contents",
        &[
            ("Image Age", "when the image was built; violated when that is more days ago"),
            ("Image User", "the user the image runs as; `root` when its configuration names none"),
            ("Dockerfile Line", "each line of the image's history: instruction and value"),
            ("Image Component", "each package in the image: name and version"),
            ("Image OS", "the operating system of the image, such as `debian:12`"),
            ("Required Image Label", "the image's labels; violated when no label matches any of the values"),
            ("Disallowed Image Label", "the image's labels; violated when a label matches"),
        ],
    ),
    (
        "Image scanning",
        &[
            ("Image Scan Age", "when the image was last scanned; violated when that is more days ago"),
            ("Unscanned Image", "whether the image was never scanned"),
            ("CVE", "the id of each vulnerability that is neither deferred nor a false positive"),
            ("CVSS", "the score of each such vulnerability, 0 to 10"),
            ("NVD CVSS", "the NVD's score of each such vulnerability, 0 to 10; 0 when it gives none"),
            ("Severity", "the severity of each such vulnerability"),
            ("Fixable", "whether a version mends such a vulnerability"),
            ("Fixed By", "the version that mends such a vulnerability; `.*` means that there is one"),
            (
                "Days Since CVE Was Published",
                "when each vulnerability was published; violated when that is more days ago",
            ),
            (
                "Days Since CVE Fix Was Available",
                "since when each vulnerability can be mended; violated when that is more days ago",
            ),
            (
                "Days Since CVE Was First Discovered In Image",
                "when each vulnerability was first seen in this image; violated when that is more days ago",
            ),
            (
                "Days Since CVE Was First Discovered In System",
                "when each vulnerability was first seen anywhere; violated when that is more days ago",
            ),
        ],
    ),
    (
        "Container configuration",
        &[
            ("Environment Variable", "each environment variable: where its value comes from, key and value"),
            ("Container CPU Request", "the CPU a container requests, in cores; 0 when it requests none"),
            ("Container CPU Limit", "the CPU a container may use, in cores; 0 when there is no limit"),
            ("Container Memory Request", "the memory a container requests, in MiB; 0 when it requests none"),
            ("Container Memory Limit", "the memory a container may use, in MiB; 0 when there is no limit"),
            ("Privileged Container", "whether a container is privileged"),
            ("Read-Only Root Filesystem", "whether a container's root filesystem is read-only"),
            (
                "Allow Privilege Escalation",
                "whether a container's processes can gain privileges; true when the manifest does not say",
            ),
            (
                "Seccomp Profile Type",
                "the seccomp profile of a container or else its pod; never matches when neither has one",
            ),
            (
                "Drop Capabilities",
                "the capabilities a container drops; violated when those named are not among them. OR: none of \
                 them was dropped, AND: one was not. Dropping ALL drops each",
            ),
            ("Add Capabilities", "the capabilities a container adds"),
            ("Container Name", "the name of a container"),
            ("AppArmor Profile", "the AppArmor profile of a container; empty when it has none"),
            ("Liveness Probe Defined", "whether a container has a liveness probe"),
            ("Readiness Probe Defined", "whether a container has a readiness probe"),
        ],
    ),
    (
        "Deployment metadata",
        &[
            ("Disallowed Annotation", "the workload's annotations; violated when one matches"),
            (
                "Required Annotation",
                "the workload's annotations; violated when none matches any of the values",
            ),
            ("Required Label", "the workload's labels; violated when none matches any of the values"),
            ("Runtime Class", "the runtime class of the pods; empty when unset"),
            ("Host Network", "whether the pods use the node's network"),
            ("Host PID", "whether the pods see the node's processes"),
            ("Host IPC", "whether the pods use the node's IPC"),
            ("Namespace", "the namespace of the workload"),
            ("Replicas", "how many pods the workload wants; for a DaemonSet, how many are available"),
        ],
    ),
    (
        "Storage",
        &[
            ("Volume Name", "the name of each mounted volume, secrets left out"),
            (
                "Volume Source",
                "where each mounted volume comes from: a path of the node, a claim, a config map, …",
            ),
            ("Volume Destination", "the path at which each volume is mounted"),
            ("Volume Type", "the type of each mounted volume, such as `HostPath`"),
            ("Writable Mounted Volume", "whether a mounted volume can be written"),
            ("Writable Host Mount", "whether a mounted path of the node can be written"),
            ("Mount Propagation", "how mounts spread between container and node"),
        ],
    ),
    (
        "Networking",
        &[
            ("Exposed Port", "each port of the workload's containers and services"),
            ("Exposed Port Protocol", "the protocol of each such port"),
            (
                "Exposed Node Port",
                "the node's port behind which each such port is reached; 0 when there is none",
            ),
            ("Port Exposure Method", "how each such port is reached from outside of the pod"),
            ("Has Ingress Network Policy", "whether a network policy restricts what comes in"),
            ("Has Egress Network Policy", "whether a network policy restricts what goes out"),
        ],
    ),
    (
        "Access control",
        &[
            ("Service Account", "the service account of the pods; `default` when unset"),
            ("Automount Service Account Token", "whether the service account's token is mounted"),
            ("Minimum RBAC Permissions", "what the service account may do: this level or a higher one"),
        ],
    ),
    (
        "Process activity",
        &[
            ("Process Name", "the base name of the executable that started"),
            ("Process Ancestor", "the path of each executable the process descends from"),
            ("Process Arguments", "the arguments, joined by spaces"),
            ("Process UID", "the user id of the process"),
        ],
    ),
    (
        "Baseline deviation",
        &[
            (
                "Unexpected Process Executed",
                "whether the process departs from the container's locked baseline",
            ),
            (
                "Unexpected Network Flow Detected",
                "whether the connection departs from the workload's locked baseline",
            ),
        ],
    ),
    (
        "User issued commands",
        &[
            ("Kubernetes Resource", "what the request was about"),
            ("Kubernetes User Name", "the user who asked, not one they impersonated"),
            ("Kubernetes User Groups", "the groups of the user who asked"),
        ],
    ),
    (
        "Audit log",
        &[
            ("Kubernetes API Verb", "what was asked for"),
            ("Kubernetes Resource Name", "the name of the object that was asked about"),
            ("User Agent", "the program that asked, as it calls itself"),
            ("Source IP Address", "the addresses the request came from"),
            ("Is Impersonated User", "whether the request was made in somebody else's name"),
        ],
    ),
    (
        "File activity",
        &[
            (
                "File Path",
                "the paths of the file on the node and in the container, before and after a rename",
            ),
            ("File Operation", "what was done to the file"),
        ],
    ),
];
