/** Paths of the permission tree. */

/** Collapses slashes; nothing for a path with characters that no ACL path may have. */
export const normalizePath = (path: string): string | undefined => {
  const collapsed = `/${path}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
  return /^[\w.\-/]+$/.test(collapsed) ? collapsed : undefined;
};

/** `/vms/101` → `/`, `/vms`, `/vms/101`. */
export const levels = (path: string): string[] => {
  const parts = path.split('/').filter(Boolean);
  return ['/', ...parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`)];
};

/** The paths an ACL entry may be set on (pve-access-control, AccessControl.pm). */
const ALLOWED = [
  /^\/$/,
  /^\/access(?:\/groups(?:\/[\w.-]+)?|\/realm(?:\/[\w.-]+)?)?$/,
  /^\/nodes(?:\/[\w.-]+)?$/,
  /^\/pool(?:\/[\w.-]+){0,3}$/,
  /^\/sdn(?:\/(?:controllers|dns|ipams|fabrics)(?:\/[\w.-]+)?|\/zones(?:\/[\w.-]+){0,3})?$/,
  /^\/storage(?:\/[\w.-]+)?$/,
  /^\/vms(?:\/[1-9]\d{2,})?$/,
  /^\/mapping(?:\/[\w.-]+(?:\/[\w.-]+)?)?$/,
];

export const aclPathAllowed = (path: string): boolean => ALLOWED.some((pattern) => pattern.test(path));
