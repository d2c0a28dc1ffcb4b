/** Where the operator listens for those who may exec in its pod. */
export const CONTROL_SOCKET = '/run/weft-operator/control.sock';
