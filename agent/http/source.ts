/** Which peers a listener takes, and where they find it. Linux answers on a bridge's address from every interface (the weak host model), so the agent looks itself. Pure. */
import { BlockList, isIP } from 'node:net';
import { isWildcard } from '../config.ts';

/** The part of `os.networkInterfaces()` that decides. */
export interface InterfaceAddress {
  address: string;
  /** `10.10.10.1/24` */
  cidr: string | null;
}

/** An address as the kernel shows it to an IPv6 socket, without the mapping and the zone. */
const plainAddress = (address: string): string => {
  const [bare = ''] = address.split('%', 1);
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
};

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

const within = (cidr: string, source: string): boolean => {
  const [network = '', bits = ''] = cidr.split('/', 2);
  const family = familyOf(source);
  if (familyOf(network) !== family) return false;
  const block = new BlockList();
  block.addSubnet(network, Number(bits), family);
  return block.check(source, family);
};

/**
 * Whether a peer at `source` may speak to the listener at `listener`. A wildcard was asked for by name, and takes the neighbours of
 * every interface; an address that no interface shows now takes nobody.
 */
export const admits = (listener: string, source: string, interfaces: readonly InterfaceAddress[]): boolean => {
  const own = plainAddress(listener);
  const peer = plainAddress(source);
  if (isIP(peer) === 0) return false;
  if (isWildcard(own)) return isLoopback(peer) || interfaces.some(({ cidr }) => cidr !== null && within(cidr, peer));
  if (isLoopback(own)) return isLoopback(peer);
  return interfaces.some(({ address, cidr }) => plainAddress(address) === own && cidr !== null && within(cidr, peer));
};

/** Where guests find a listener: a wildcard is reached at each of this host's own addresses, link-local ones left out (RFC 4291, 2.5.6). */
export const reachedAt = (listener: string, interfaces: readonly InterfaceAddress[]): string[] => {
  if (!isWildcard(listener)) return [listener];
  const own = interfaces.map(({ address }) => plainAddress(address));
  return own.filter((address) => familyOf(address) === familyOf(listener) && !isLoopback(address) && !/^fe80:/i.test(address));
};
