/** Privileges and the built-in roles of pve-access-control 9.1.1. */

const VM_GUEST_AGENT = ['Audit', 'FileRead', 'FileSystemMgmt', 'FileWrite', 'Unrestricted'].map((p) => `VM.GuestAgent.${p}`);
const VM_CONFIG = ['CDROM', 'CPU', 'Cloudinit', 'Disk', 'HWType', 'Memory', 'Network', 'Options'].map((p) => `VM.Config.${p}`);
const VM = [
  ...['Allocate', 'Audit', 'Backup', 'Clone'].map((p) => `VM.${p}`),
  ...VM_CONFIG,
  'VM.Console',
  ...VM_GUEST_AGENT,
  ...['Migrate', 'PowerMgmt', 'Replicate', 'Snapshot', 'Snapshot.Rollback'].map((p) => `VM.${p}`),
];
const SYS = ['AccessNetwork', 'Audit', 'Console', 'Incoming', 'Modify', 'PowerMgmt', 'Syslog'].map((p) => `Sys.${p}`);
const DATASTORE = ['Allocate', 'AllocateSpace', 'AllocateTemplate', 'Audit'].map((p) => `Datastore.${p}`);
const SDN = ['Allocate', 'Audit', 'Use'].map((p) => `SDN.${p}`);
const MAPPING = ['Audit', 'Modify', 'Use'].map((p) => `Mapping.${p}`);
const POOL = ['Pool.Allocate', 'Pool.Audit'];
const USERS = ['User.Modify', 'Group.Allocate', 'Realm.Allocate', 'Realm.AllocateUser', 'Permissions.Modify'];

export const PRIVILEGES: readonly string[] = [...VM, ...SYS, ...DATASTORE, ...SDN, ...MAPPING, ...POOL, ...USERS].sort();

const NOT_FOR_PVE_ADMIN = [
  'Permissions.Modify',
  'Realm.Allocate',
  'Mapping.Modify',
  'Sys.PowerMgmt',
  'Sys.Modify',
  'Sys.Incoming',
  'Sys.AccessNetwork',
];

export const BUILT_IN_ROLES: Readonly<Record<string, readonly string[]>> = {
  Administrator: PRIVILEGES,
  NoAccess: [],
  PVEAdmin: PRIVILEGES.filter((p) => !NOT_FOR_PVE_ADMIN.includes(p)),
  PVEAuditor: ['Datastore.Audit', 'Mapping.Audit', 'Pool.Audit', 'SDN.Audit', 'Sys.Audit', 'VM.Audit', 'VM.GuestAgent.Audit'],
  PVEDatastoreAdmin: DATASTORE,
  PVEDatastoreUser: ['Datastore.AllocateSpace', 'Datastore.Audit'],
  PVEMappingAdmin: MAPPING,
  PVEMappingUser: ['Mapping.Audit', 'Mapping.Use'],
  PVEPoolAdmin: POOL,
  PVEPoolUser: ['Pool.Audit'],
  PVESDNAdmin: SDN,
  PVESDNUser: ['SDN.Audit', 'SDN.Use'],
  PVESysAdmin: ['Sys.Audit', 'Sys.Console', 'Sys.Syslog'],
  PVETemplateUser: ['VM.Audit', 'VM.Clone'],
  PVEUserAdmin: ['Group.Allocate', 'Realm.AllocateUser', 'User.Modify'],
  PVEVMAdmin: VM,
  PVEVMUser: [
    'VM.Audit',
    'VM.Backup',
    'VM.Config.CDROM',
    'VM.Config.Cloudinit',
    'VM.Console',
    'VM.GuestAgent.Audit',
    'VM.GuestAgent.FileRead',
    'VM.GuestAgent.FileSystemMgmt',
    'VM.GuestAgent.FileWrite',
    'VM.PowerMgmt',
  ],
};
