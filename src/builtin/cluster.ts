/** CLUSTER, ASKING: what a server that is no cluster says, so that clients which ask whether it is one learn the truth. */
import { errorText } from '../base/errors.ts'
import { failure } from '../resp/encode.ts'
import type { Builtin } from './builtin.ts'

export const clusterDisabled: Builtin = { run: () => failure(errorText('CLUSTER_DISABLED')) }
