/** The virtual machine's image, and whether this machine can boot it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export interface Image {
  /** Raw ext4, Debian with systemd, never written to. */
  disk: string;
  kernel: string;
  initrd: string;
  /** Root's ssh key. */
  key: string;
}

const DIRECTORY = process.env.LAB_DIR ?? '/tmp/lab';

export const image: Image = {
  disk: join(DIRECTORY, 'base.img'),
  kernel: join(DIRECTORY, 'vmlinuz'),
  initrd: join(DIRECTORY, 'initrd'),
  key: join(DIRECTORY, 'ssh/id_ed25519'),
};

const PROGRAMS = ['/usr/bin/qemu-system-x86_64', '/usr/bin/ssh', '/usr/bin/setpriv'];

/** Why no machine can be booted here, and what to do; empty where one can. */
export const whyNoMachine = (): string => {
  const program = PROGRAMS.find((path) => !existsSync(path));
  if (program !== undefined) return `there is no ${program} here (Debian: qemu-system-x86, openssh-client, util-linux)`;
  const missing = Object.values(image).find((path: string) => !existsSync(path));
  return missing === undefined
    ? ''
    : `there is no ${missing}: make the image as root with "sh test/vm/build-image.sh ${DIRECTORY}" (two minutes, 0.9 GB), or name the directory of one in LAB_DIR`;
};
