/** @file A worker thread of a DataLoader. */
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '../runtime/load.js';
import { flatten } from '../tree.js';
import { default_collate } from './collate.js';
import { loadDataset, type WireTensor, type WorkerReply, type WorkerRequest, type WorkerTask } from './workers.js';

const dataset = loadDataset(workerData as WorkerTask);

const answer = ({ id, indices }: WorkerRequest): { reply: WorkerReply; bytes: ArrayBuffer[] } => {
  try {
    const batch =
      dataset.batch === undefined ? default_collate(indices.map((i) => dataset.at(i))) : dataset.batch(indices);
    const { structure, leaves } = flatten(batch);
    const tensors = leaves.map(
      (t): WireTensor => ({ bytes: native().toBytes(t), dtype: t.dtype, shape: [...t.shape] }),
    );
    return { reply: { id, structure, tensors }, bytes: tensors.map((t) => t.bytes) };
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    return { reply: { id, error: message, code }, bytes: [] };
  }
};

parentPort!.on('message', (request: WorkerRequest) => {
  const { reply, bytes } = answer(request);
  parentPort!.postMessage(reply, bytes);
});
