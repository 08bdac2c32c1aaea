import { expect, test } from 'vitest';
import { createProxmoxFiles, parseMappings, parseStorages } from '#agent/ports/proxmox-files';
import { makeTree, type Tree } from './tree.ts';

const NODE: Tree = {
  '.version': '{"starttime":1700000000,"clinfo":2,"vmlist":7}',
  local: '->nodes/pve1',
  'nodes/pve1/lxc/': '',
  'nodes/pve1/qemu-server/': '',
};
const read = async (tree: Tree) => createProxmoxFiles(await makeTree(tree)).read();

const STORAGES = `dir: local
	path /var/lib/vz
	content iso,vztmpl,backup

# a comment
lvmthin: local-lvm
	thinpool data
	vgname pve
	content rootdir,images

pbs: off-site
	disable
        server 10.0.0.9
	nodes pve2
`;

test('storages of every kind, disabled ones and those of other nodes too', () => {
  expect(parseStorages(STORAGES)).toEqual([
    { type: 'dir', id: 'local', keys: { path: '/var/lib/vz', content: 'iso,vztmpl,backup' } },
    { type: 'lvmthin', id: 'local-lvm', keys: { thinpool: 'data', vgname: 'pve', content: 'rootdir,images' } },
    { type: 'pbs', id: 'off-site', keys: { disable: '', server: '10.0.0.9', nodes: 'pve2' } },
  ]);
});

test('mappings have an id and no type, and a map for each node', () => {
  const text =
    'hba\n\tdescription for backups\n\tmap id=1000:0072,iommugroup=3,node=pve1,path=0000:01:00.0;0000:01:00.1\n\tmap node=pve2,path=0000:02:00.0\n\nkey\n\tmap id=1058:25a2,node=pve1\n';
  expect(parseMappings(text, 'mapping/pci.cfg')).toEqual([
    {
      id: 'hba',
      entries: [
        { id: '1000:0072', iommugroup: '3', node: 'pve1', path: '0000:01:00.0;0000:01:00.1' },
        { node: 'pve2', path: '0000:02:00.0' },
      ],
    },
    { id: 'key', entries: [{ id: '1058:25a2', node: 'pve1' }] },
  ]);
});

const QEMU =
  '#notes: mine\nscsi0: local-lvm:vm-201-disk-0,size=4G\nhostpci0: mapping=hba\n[before]\nusb0: host=2-1.4\n[special:cloudinit]\n';
const LXC =
  'arch: amd64\nrootfs: local-lvm:vm-101-disk-0\nlxc.mount.entry: /mnt/x mnt/x none bind 0 0\nlxc.cap.drop =\n\n[pve:pending]\ndelete: mp0\n';

test('the guests of this node, whole, with what is left behind beside their files', async () => {
  const found = await read({
    ...NODE,
    'nodes/pve1/lxc/101.conf': LXC,
    'nodes/pve1/qemu-server/201.conf': QEMU,
    'nodes/pve1/qemu-server/201.conf.tmp.77': 'half',
    'nodes/pve2/qemu-server/301.conf': QEMU,
    'storage.cfg': STORAGES,
    'mapping/usb.cfg': 'key\n\tmap id=1058:25a2,node=pve1\n',
    'mapping/directory.cfg': 'd\n\tmap node=pve1,path=/mnt/felhom/.guests/201\n',
  });
  expect(found).toMatchObject({
    node: 'pve1',
    storages: [{ id: 'local' }, { id: 'local-lvm' }, { id: 'off-site' }],
    guests: [
      { vmid: 101, type: 'lxc', text: LXC },
      { vmid: 201, type: 'qemu', text: QEMU },
    ],
    pci: [],
    usb: [{ id: 'key' }],
    directories: [{ id: 'd', entries: [{ path: '/mnt/felhom/.guests/201' }] }],
  });
});

test('a node without guests, storages or mappings is an answer', async () => {
  expect(await read(NODE)).toEqual({ node: 'pve1', storages: [], guests: [], pci: [], usb: [], directories: [] });
});

const { '.version': _version, ...UNMOUNTED } = NODE;
const { local: _local, ...NOBODY } = NODE;
test.each<[string, Tree, string]>([
  ['an empty directory, as below an unmounted one', { './': '' }, '.version'],
  ['one without .version', UNMOUNTED, '.version'],
  ['a .version that is cut', { ...NODE, '.version': '{"start' }, '.version'],
  ['one that does not say which node this is', NOBODY, 'which node'],
  ['one without the node', { '.version': '{}', local: '->nodes/pve1' }, 'ENOENT'],
  [
    'a node without a directory of containers',
    { '.version': '{}', local: '->nodes/pve1', 'nodes/pve1/qemu-server/': '' },
    'ENOENT',
  ],
  [
    'a storage.cfg of something else',
    { ...NODE, 'storage.cfg': 'dir: local\n\tpath /x\n<<<<<<< HEAD\n' },
    'storage.cfg, line 3,',
  ],
  ['a storage.cfg that begins with a key', { ...NODE, 'storage.cfg': '\tpath /x\n' }, 'storage.cfg, line 1,'],
  ['a storage with a key twice', { ...NODE, 'storage.cfg': 'dir: a\n\tpath /x\n\tpath /y\n' }, 'storage.cfg'],
  ['a storage.cfg that is not text', { ...NODE, 'storage.cfg': Buffer.alloc(4096) }, 'storage.cfg is not text'],
  ['a storage.cfg that cannot be read', { ...NODE, 'storage.cfg/x': '' }, 'EISDIR'],
  ['a guest of something else', { ...NODE, 'nodes/pve1/lxc/101.conf': 'arch: amd64\nwhat is this\n' }, '101.conf, line 2,'],
  ['a guest that cannot be read', { ...NODE, 'nodes/pve1/lxc/101.conf/x': '' }, 'EISDIR'],
  ['a mapping of something else', { ...NODE, 'mapping/pci.cfg': 'pci: hba\n\tmap x\n' }, 'mapping/pci.cfg, line 1,'],
  ['a map that is no list', { ...NODE, 'mapping/usb.cfg': 'key\n\tmap 1058:25a2\n' }, 'mapping/usb.cfg'],
])('%s is no answer', async (_what, tree, why) => {
  await expect(read(tree)).rejects.toThrow(why);
});
