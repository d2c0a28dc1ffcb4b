/** What the operator and a node's agent say to each other. The messages are described in `proto/`. */
export {
  Address,
  AddressKind,
  Algorithm,
  Backend,
  Direction,
  Endpoint,
  EnvoyResource,
  HeaderMatch,
  HttpMatch,
  Node,
  NodeResource,
  PolicyEntry,
  PolicyListener,
  PolicyRef,
  PolicySet,
  Prefix,
  Protocol,
  Rule,
  Service,
  ServicePort,
  Verdict,
} from '../gen/weft/node/v1/node.ts';
export {
  BootstrapClient,
  type BootstrapServer,
  BootstrapService,
  CertifyRequest,
  CertifyResponse,
  NodeCondition,
  NodeReport,
  ReportAck,
  ReportsClient,
  type ReportsServer,
  ReportsService,
  ResourceReport,
} from '../gen/weft/node/v1/operator.ts';

/** The single resource type that agents subscribe to. */
export const nodeResourceType = 'type.googleapis.com/weft.node.v1.NodeResource';
