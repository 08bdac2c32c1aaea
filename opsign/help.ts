/** What `--help` prints. */

export const HELP = `felhom-opsign -op storage_wipe -host HOST -durable-id ID [-key FILE]
felhom-opsign keygen -name NAME [-key FILE]
felhom-opsign pubkey [-key FILE]
felhom-opsign inspect [LINE]
felhom-opsign verify -keys FILE [LINE]

The operator's offline tool: permits that one system or backup drive of one host is erased. Needs no network.

Without a command it signs: shows what would be destroyed, asks for the end of the drive's serial number and for the
passphrase, and prints one line on stdout. Everything else is on stderr or on the terminal. The host that is given
the line within 24 hours, and still has that drive and that request, erases the drive, once.

  keygen    makes a key and prints its line for opsign.keys on the hosts
  pubkey    prints that line again
  inspect   says what a signed line says, whatever its signature is worth
  verify    says whether a signed line is genuine, as a host with these keys would
            (both read the line from stdin where none is given)

  -op OP           what is permitted: storage_wipe
  -host HOST       id of the host, as the request shows it
  -durable-id ID   the drive and the request, as the request shows it
  -key FILE        the operator's key; default ~/.config/felhom/opsign.key
  -name NAME       the operator's name, which the hosts record
  -keys FILE       a host's opsign.keys

Options may be written -op x, --op x, -op=x or --op=x. Passphrases and answers are typed on the terminal, never taken
from arguments, the environment or stdin.

Exit status: 0 done, 1 refused or failed (nothing was signed or made, or the line is not genuine),
2 the command line is not understood, 130 ended with Ctrl-C.`;
