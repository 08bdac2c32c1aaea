/** /proc/self/mountinfo, proc_pid_mountinfo(5). Pure. */

export interface Mount {
  /** Of the mount, as fdinfo(5) names it. */
  id: string;
  /** The mount that this one stands on. */
  parent: string;
  /** `8:1`; a btrfs, ZFS or network file system has `0:NN`. */
  device: string;
  /** The part of the file system that is mounted. */
  root: string;
  point: string;
  fstype: string;
  source: string;
  /** Of the mount and of its file system. */
  options: readonly string[];
}

/** Blanks, tabs, newlines and backslashes are written in octal, as in fstab(5). */
export const decodeOctal = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

const parseLine = (line: string): Mount[] => {
  const [head = '', tail = ''] = line.split(' - ');
  const [id, parent, device, root, point, own = ''] = head.split(' ');
  const [fstype, source, shared = ''] = tail.split(' ');
  if (!id || !parent || !device || !root || !point || !fstype || source === undefined) return [];
  return [
    {
      id,
      parent,
      device,
      root: decodeOctal(root),
      point: decodeOctal(point),
      fstype,
      source: decodeOctal(source),
      options: `${own},${shared}`.split(','),
    },
  ];
};

export const parseMountinfo = (text: string): Mount[] => text.split('\n').flatMap(parseLine);

/** Whether a path is that directory or below it. */
export const isWithin = (path: string, directory: string): boolean =>
  directory === '/' ? path.startsWith('/') : path === directory || path.startsWith(`${directory}/`);

const join = (root: string, rest: string): string => (root === '/' ? rest || '/' : `${root}${rest}`);

/** A path within its file system, whatever was bound where. @param point where `root` of the file system is mounted */
export const pathWithin = ({ root, point }: Pick<Mount, 'root' | 'point'>, path: string): string =>
  join(root, point === '/' ? (path === '/' ? '' : path) : path.slice(point.length));

/** The mount that a path lies on: the deepest, and of several on one point the last, which covers the others. */
export const mountOf = (mounts: readonly Mount[], path: string): Mount | undefined =>
  mounts
    .filter(({ point }) => isWithin(path, point))
    .reduce<Mount | undefined>((best, one) => (best && best.point.length > one.point.length ? best : one), undefined);

const WITHOUT_DATA: ReadonlySet<string> = new Set(
  (
    'autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs fusectl fuse.lxcfs hugetlbfs iso9660 mqueue nsfs ' +
    'overlay proc pstore ramfs securityfs squashfs sysfs tmpfs tracefs'
  ).split(' '),
);

/** The mounts below a directory that may hold data of their own: not the kernel's, nor what is gone at the next boot anyhow. */
export const mountsWithin = (mounts: readonly Mount[], directory: string): Mount[] =>
  mounts.filter((one) => one.point !== directory && isWithin(one.point, directory) && !WITHOUT_DATA.has(one.fstype));

const NETWORK: ReadonlySet<string> = new Set(
  '9p afs ceph cifs davfs fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs glusterfs lustre nfs nfs4 smb3 smbfs'.split(' '),
);

/** Another machine serves it: no snapshot of this guest has it, and it may never answer. */
export const isRemote = ({ fstype }: Mount): boolean => NETWORK.has(fstype);
