//! The container id from inside a container (spec/resource.md section 6).

/// The id in `/proc/self/cgroup` (version 1 hierarchies, or version 2 without a namespace), else in
/// `/proc/self/mountinfo`: runtimes mount the container's own `hostname` and `resolv.conf` from a directory named by it.
pub(super) fn id<'a>(cgroup: &'a str, mountinfo: &'a str) -> Option<&'a str> {
    from_cgroup(cgroup).or_else(|| from_mountinfo(mountinfo))
}

fn from_cgroup(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        // hierarchy:controllers:path
        let path = line.splitn(3, ':').nth(2)?;
        let last = path.rsplit('/').next()?;
        let last = last.strip_suffix(".scope").unwrap_or(last);
        // `docker-<id>`, `cri-containerd-<id>`, `kubepods-...:cri-containerd:<id>`
        as_id(last.rsplit(['-', ':']).next()?)
    })
}

/// `/sandboxes/` is looked past on purpose: in Kubernetes that is the pause container's id.
fn from_mountinfo(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once("/containers/")?;
        as_id(rest.split(['/', ' ']).next()?)
    })
}

fn as_id(text: &str) -> Option<&str> {
    let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == 64 && hex).then_some(text)
}

/// Whether a process with these cgroups may be inside a container although no id is to be seen: in a cgroup namespace
/// every path is the root.
pub(super) fn may_be_inside(cgroup: &str) -> bool {
    cgroup
        .lines()
        .all(|line| line.splitn(3, ':').nth(2).is_none_or(|path| path == "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let hex = "0123456789abcdef".repeat(4);
        let cgroups = [
            (format!("12:cpu:/docker/{hex}\n"), true),
            (format!("0::/system.slice/docker-{hex}.scope"), true),
            (
                format!("1:name=systemd:/kubepods/besteffort/podd5/{hex}"),
                true,
            ),
            (
                format!("0::/kubepods.slice/x.slice/cri-containerd-{hex}.scope"),
                true,
            ),
            (
                format!(
                    "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{hex}"
                ),
                true,
            ),
            (format!("0::/machine.slice/libpod-{hex}.scope"), true),
            (format!("0::/x\n1:a:/crio-{hex}.scope"), true),
            (format!("0::/docker/{}", &hex[1..]), false),
            (format!("0::/docker/{}", hex.to_uppercase()), false),
            ("0::/".into(), false),
            (
                "0::/user.slice/user-1000.slice/session-1.scope".into(),
                false,
            ),
            ("garbage".into(), false),
        ];
        for (text, found) in cgroups {
            assert_eq!(id(&text, ""), found.then_some(hex.as_str()), "{text}");
        }
        let mounts = [
            (
                format!(
                    "1 2 0:3 /var/lib/docker/containers/{hex}/hostname /etc/hostname rw - ext4 /dev/sda rw"
                ),
                true,
            ),
            (format!("a\nb /containers/{hex}/resolv.conf x"), true),
            (
                format!("1 2 0:3 /run/containerd/sandboxes/{hex}/hostname /etc/hostname rw"),
                false,
            ),
            ("1 2 /containers/short/hostname".into(), false),
        ];
        for (text, found) in mounts {
            assert_eq!(id("0::/", &text), found.then_some(hex.as_str()), "{text}");
        }
        assert!(may_be_inside("0::/\n") && may_be_inside(""));
        assert!(!may_be_inside("0::/user.slice"));
    }
}
