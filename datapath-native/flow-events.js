/** Builds flow events from the columns in which the addon hands over a batch (crates/addon/src/flow.rs). */

const NUMBERS = 15;
const NO_SLOT = 0xffff_ffff;
const NO_RULE = 0xffff;

/** columns: {addresses, numbers, sets}; names: {types, reasons, directions} by number. */
export function decodeEvents(columns, names) {
  const { numbers, sets } = columns;
  const addresses = columns.addresses.split('\n');
  const events = [];
  for (let index = 0; index * NUMBERS < numbers.length; index += 1) {
    const at = index * NUMBERS;
    const event = {
      time: numbers[at],
      type: names.types[numbers[at + 1]] ?? 'drop',
      reason: names.reasons[numbers[at + 2]] || 'unknown',
      direction: names.directions[numbers[at + 3]] ?? 'ingress',
      protocol: numbers[at + 4],
      source: addresses[index * 3],
      sourcePort: numbers[at + 5],
      destination: addresses[index * 3 + 1],
      destinationPort: numbers[at + 6],
      reply: numbers[at + 8] !== 0,
      packets: numbers[at + 13],
      bytes: numbers[at + 14],
    };
    if (addresses[index * 3 + 2] !== '') {
      event.service = addresses[index * 3 + 2];
      event.servicePort = numbers[at + 7];
    }
    if (numbers[at + 9] !== NO_SLOT) event.sourceSlot = numbers[at + 9];
    if (numbers[at + 10] !== NO_SLOT) event.destinationSlot = numbers[at + 10];
    if (sets[index * 2] !== 0n) event.egressSet = sets[index * 2];
    if (numbers[at + 11] !== NO_RULE) event.egressRule = numbers[at + 11];
    if (sets[index * 2 + 1] !== 0n) event.ingressSet = sets[index * 2 + 1];
    if (numbers[at + 12] !== NO_RULE) event.ingressRule = numbers[at + 12];
    events.push(event);
  }
  return events;
}
