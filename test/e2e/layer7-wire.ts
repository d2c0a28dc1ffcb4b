/** Requests byte for byte, and what a client that may only GET /api/v1/users may get for them. */

export interface WireCase {
  readonly name: string;
  readonly bytes: string;
  /** Statuses of the answers in turn; 'closed': the connection ends (or stays silent) without one. */
  readonly answers: readonly (number | 'closed')[];
}

const head = (line: string, ...headers: string[]): string => `${[line, 'Host: api', ...headers].join('\r\n')}\r\n\r\n`;
const get = (target: string, ...headers: string[]): string =>
  head(`GET ${target} HTTP/1.1`, ...headers, 'Connection: close');
const users = '/api/v1/users';

export const wireCases: readonly WireCase[] = [
  { name: 'the plain form', bytes: get(users), answers: [200] },
  { name: 'a doubled slash', bytes: get('//api//v1/users'), answers: [200] },
  { name: 'dot segments that lead to it', bytes: get('/api/./v1/x/../users'), answers: [200] },
  { name: 'dot segments that lead away', bytes: get(`${users}/../../../admin`), answers: [403] },
  { name: 'encoded dot segments that lead away', bytes: get(`${users}/%2e%2e/%2e%2e/%2e%2e/admin`), answers: [403] },
  { name: 'an encoded slash', bytes: get('/api%2Fv1/users'), answers: [400] },
  { name: 'an encoded backslash', bytes: get('/api%5Cv1%5Cusers'), answers: [400] },
  { name: 'an encoded letter', bytes: get('/api/v1/%75sers'), answers: [200] },
  { name: 'a parameter', bytes: get(`${users};a=b`), answers: [403] },
  { name: 'a parameter of dot segments', bytes: get(`${users}/..;/..;/..;/admin`), answers: [403] },
  { name: 'a query', bytes: get(`${users}?a=b`), answers: [403] },
  { name: 'a fragment', bytes: get(`${users}#admin`), answers: [400] },
  { name: 'a trailing slash', bytes: get(`${users}/`), answers: [403] },
  { name: 'another case of the path', bytes: get('/API/v1/users'), answers: [403] },
  { name: 'a byte that is no UTF-8', bytes: get(`${users}\xff`), answers: [400] },
  { name: 'a zero byte', bytes: get(`${users}\0`), answers: [400] },
  { name: 'a space in the target', bytes: get(`${users} /admin`), answers: [400] },
  { name: 'the absolute form', bytes: get(`http://api${users}`), answers: [200] },
  { name: 'the absolute form of another path', bytes: get('http://api/admin'), answers: [403] },
  { name: 'a method in lower case', bytes: head(`get ${users} HTTP/1.1`, 'Connection: close'), answers: [403] },
  { name: 'another method', bytes: head(`HEAD ${users} HTTP/1.1`, 'Connection: close'), answers: [403] },
  { name: 'CONNECT', bytes: head('CONNECT api:80 HTTP/1.1'), answers: [403] },
  {
    name: 'a method override',
    bytes: get('/admin', 'X-HTTP-Method-Override: GET', `X-Original-URL: ${users}`),
    answers: [403],
  },
  { name: 'no Host', bytes: `GET ${users} HTTP/1.1\r\nConnection: close\r\n\r\n`, answers: [400] },
  { name: 'two Hosts', bytes: get(users, 'Host: other'), answers: [403] },
  {
    name: 'length and chunks at once',
    bytes: `${head(`POST ${users} HTTP/1.1`, 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${get('/admin')}`,
    answers: [400],
  },
  {
    name: 'two lengths',
    bytes: `${get(users, 'Content-Length: 0', 'Content-Length: 40')}${get('/admin')}`,
    answers: [400],
  },
  {
    name: 'an unknown transfer encoding',
    bytes: head(`GET ${users} HTTP/1.1`, 'Transfer-Encoding: xchunked') + get('/admin'),
    answers: [501],
  },
  {
    name: 'a request in the body of another',
    bytes:
      head(`GET ${users} HTTP/1.1`, `Content-Length: ${get('/admin').length}`, 'Connection: close') + get('/admin'),
    answers: [200],
  },
  {
    name: 'chunks with a trailer that names another path',
    bytes:
      head(`GET ${users} HTTP/1.1`, 'Transfer-Encoding: chunked', 'Trailer: X-Original-URL', 'Connection: close') +
      '1\r\nx\r\n0\r\nX-Original-URL: /admin\r\n\r\n',
    answers: [200],
  },
  {
    name: 'a folded header',
    bytes: `GET ${users} HTTP/1.1\r\nHost: api\r\nX-A: a\r\n b\r\nConnection: close\r\n\r\n`,
    answers: [200],
  },
  {
    name: 'a space before the colon',
    bytes: `GET ${users} HTTP/1.1\r\nHost : api\r\nConnection: close\r\n\r\n`,
    answers: [400],
  },
  { name: 'requests in a row', bytes: head(`GET ${users} HTTP/1.1`) + get('/admin'), answers: [200, 403] },
  {
    name: 'an upgrade to HTTP/2',
    bytes: get(users, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__').replace(
      'Connection: close',
      'Connection: Upgrade, HTTP2-Settings, close',
    ),
    answers: [200],
  },
  {
    name: 'a WebSocket on another path',
    bytes: head('GET /admin HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket'),
    answers: [403],
  },
  { name: 'HTTP/1.0', bytes: `GET ${users} HTTP/1.0\r\n\r\n`, answers: [426] },
  { name: 'HTTP/0.9', bytes: `GET ${users}\r\n`, answers: [426] },
  { name: 'TLS', bytes: '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', answers: [400] },
  { name: 'another protocol', bytes: 'EHLO example.org\r\n', answers: [400] },
];

/** Statuses of the answers in what came back, and what the server said it got. */
export function readAnswers(text: string): {
  statuses: (number | 'closed')[];
  seen: { method: string; uri: string }[];
} {
  const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status));
  const seen = [...text.matchAll(/^\{"pod".*\}$/gm)].map(
    ([line]) => JSON.parse(line) as { method: string; uri: string },
  );
  return { statuses: statuses.length === 0 ? ['closed'] : statuses, seen };
}
