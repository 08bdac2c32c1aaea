/** The one part of node-forge that is needed: the whole of it makes this program four times as large. */
declare module 'node-forge/lib/asn1.js' {
  import { asn1 } from 'node-forge';

  // biome-ignore lint/style/noDefaultExport: what node-forge exports
  export default asn1;
}
