/** Where drives lie for guests: on the host, and inside. Pure. */

/** Inside, the same in every guest. */
export const GUEST_ROOT = '/mnt/felhom';

export interface GuestPlaces {
  /** `<mount_root>/.guests`: below it one directory for each guest. */
  readonly all: string;
  own(vmid: number): string;
  /** Of one drive. */
  point(vmid: number, name: string): string;
  /** Whose directory that is, or lies in; null: nobody's. */
  ownerOf(path: string): number | null;
}

export const guestPlaces = (mountRoot: string): GuestPlaces => {
  const all = `${mountRoot}/.guests`;
  const own = (vmid: number): string => `${all}/${vmid}`;
  return {
    all,
    own,
    point: (vmid, name) => `${own(vmid)}/${name}`,
    ownerOf: (path) => {
      const [, vmid] = path.startsWith(`${all}/`) ? (/^\/([1-9]\d*)(?:\/|$)/.exec(path.slice(all.length)) ?? []) : [];
      return vmid === undefined ? null : Number(vmid);
    },
  };
};
