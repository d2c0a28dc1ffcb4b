/** Builds access records from the columns in which the addon hands over a batch (crates/addon/src/records.rs). */

const NUMBERS = 8;
const TEXTS = 11;

/** columns: {texts, numbers, listeners} */
export function decodeRecords(columns) {
  const { numbers, listeners } = columns;
  const texts = columns.texts.split('\n');
  return Array.from(listeners, (listener, index) => {
    const number = index * NUMBERS;
    const text = index * TEXTS;
    const record = {
      time: numbers[number],
      listener,
      route: texts[text],
      method: texts[text + 1],
      path: texts[text + 2],
      authority: texts[text + 3],
      protocol: texts[text + 4],
      status: numbers[number + 1],
      flags: texts[text + 5],
      details: texts[text + 6],
      durationMs: numbers[number + 2],
      receivedBytes: numbers[number + 3],
      sentBytes: numbers[number + 4],
      source: texts[text + 7],
      sourcePort: numbers[number + 5],
      destination: texts[text + 8],
      destinationPort: numbers[number + 6],
      userAgent: texts[text + 10],
    };
    if (numbers[number + 7] >= 0) {
      record.upstream = texts[text + 9];
      record.upstreamPort = numbers[number + 7];
    }
    return record;
  });
}
