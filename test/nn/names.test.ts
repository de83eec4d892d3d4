/** @file The public names of torch.nn, torch.optim, torch.utils.data and torch.amp are there, but for those left out for a reason. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as torch from '../../lib/index.js';

const names = JSON.parse(readFileSync(join(__dirname, '../../../test/data/nn-names-torch.json'), 'utf8')) as Record<
  string,
  string[]
>;

/** Why a name is not there. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'several devices or processes': 'DataParallel SyncBatchNorm DistributedSampler share_memory ipu xpu mtia',
  'deprecated by PyTorch itself':
    'NLLLoss2d CrossMapLRN2d Container clip_grad_norm spectral_norm weight_norm remove_spectral_norm remove_weight_norm register_backward_hook constant dirac eye kaiming_normal kaiming_uniform normal orthogonal sparse uniform xavier_normal xavier_uniform',
  'sparse gradients': 'SparseAdam',
  'abstract bases and helpers of the implementation':
    'RNNBase RNNCellBase factory_kwargs Tensor assert_int_or_pair has_torch_function has_torch_function_unary has_torch_function_variadic fuse_conv_bn_weights fuse_linear_bn_weights transfer_parametrizations_and_params type_before_parametrizations invert_permutation ScalingType SwizzleType argument_validation functional_datapipe guaranteed_datapipes_determinism non_deterministic runtime_validation runtime_validation_disabled',
  'types here, not values': 'Dataset Sampler',
  'streams: iterate over batches by yourself':
    'IterableDataset ChainDataset IterDataPipe MapDataPipe DFIterDataPipe DataChunk',
  'Python: decorators, memory formats, the meta device, compile(module), to(dtype)':
    'custom_bwd custom_fwd convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format skip_init to_empty compile type default_convert get_worker_info get_extra_state set_extra_state',
};

describe('nn, optim, data, amp: names', () => {
  const leftOut = new Set(Object.values(LEFT_OUT).flatMap((list) => list.split(' ')));
  const missing = new Set<string>();
  for (const [path, list] of Object.entries(names)) {
    const place =
      path === 'torch.nn.Module'
        ? torch.nn.Module.prototype
        : path
            .split('.')
            .slice(1)
            .reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], torch);
    const absent = list.filter((name) => !(name in (place as object)));
    for (const name of absent) missing.add(name);
    it(`${path}: ${list.length - absent.length} of ${list.length}`, () => {
      assert.ok(list.length > 0);
      assert.deepEqual(
        absent.filter((name) => !leftOut.has(name)),
        [],
      );
    });
  }
  it('what is said to be left out is', () => {
    assert.deepEqual(
      [...leftOut].filter((name) => !missing.has(name)),
      [],
    );
  });
});
