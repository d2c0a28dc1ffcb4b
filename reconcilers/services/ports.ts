import type { ServiceFact, ServicePortFact } from '../facts.ts';
import type { Address } from '../net/address.ts';

export type Family = 'ipv4' | 'ipv6';

export function familyOf(address: Address): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** Those that the Service has cluster IPs of, the first one's first. */
export function familiesOf({ clusterIps }: ServiceFact): Family[] {
  return [...new Set(clusterIps.map(familyOf))];
}

export function tcpPort(service: ServiceFact | undefined, port: number): ServicePortFact | undefined {
  return service?.ports.find((one) => one.protocol === 'TCP' && one.port === port);
}

/** What servers behind the port speak; `same`: whatever the client speaks. */
export function protocolOf({ appProtocol }: ServicePortFact): 'http2' | 'same' {
  return appProtocol === 'kubernetes.io/h2c' || appProtocol === 'grpc' ? 'http2' : 'same';
}
