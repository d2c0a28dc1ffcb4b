/** Pod to world leaves with the node's address: the datapath marks such packets, one nftables rule masquerades them. */
import { spawn } from 'node:child_process';

/** Replaces Weft's own table in one transaction. */
export function ruleset(mark: number): string {
  const hex = `0x${(mark >>> 0).toString(16)}`;
  return `add table inet weft
flush table inet weft
table inet weft {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & ${hex} == ${hex} masquerade
  }
}
`;
}

/** @throws Error with what nft said */
export function applyMasquerade(mark: number, command = 'nft'): Promise<void> {
  return new Promise((resolve, reject) => {
    const nft = spawn(command, ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
    let said = '';
    nft.stderr.on('data', (chunk: Buffer) => {
      if (said.length < 2000) said += chunk.toString('utf8');
    });
    nft.on('error', (error) => reject(new Error(`nft can't be run: ${error.message}`)));
    nft.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`nft failed: ${said.trim()}`))));
    nft.stdin.on('error', () => {});
    nft.stdin.end(ruleset(mark));
  });
}
