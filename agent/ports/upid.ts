/** Proxmox's unique process id of a task: `UPID:<node>:<pid>:<pstart>:<starttime>:<type>:<id>:<user>:` (PVE/UPID.pm). */

const UPID =
  /^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$/;

export interface Upid {
  node: string;
  /** Seconds since 1970. */
  starttime: number;
  type: string;
  /** The guest's number; empty when the task covers several. */
  id: string;
  /** Whole: `felhom@pve!pve1`. */
  user: string;
  /** Below the task log directory: `<last hex digit of starttime>/<UPID>`. */
  logFile: string;
}

/** Null for anything else: it becomes a path, so it has no slash, no white space and no NUL. */
export const parseUpid = (text: string): Upid | null => {
  const match = text.length <= 256 && !text.includes('\0') ? UPID.exec(text) : null;
  if (!match) return null;
  const [, node = '', starttime = '', type = '', id = '', user = ''] = match;
  return { node, starttime: Number.parseInt(starttime, 16), type, id, user, logFile: `${starttime.at(-1)}/${text}` };
};
