/** @file torch.utils.data */
export { default_collate } from './collate.js';
export { ConcatDataset, type Dataset, random_split, StackDataset, Subset, TensorDataset } from './dataset.js';
export { DataLoader, type DataLoaderOptions } from './loader.js';
export {
  BatchSampler,
  RandomSampler,
  type Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
} from './sampler.js';
export { type DatasetModule, datasetModule } from './workers.js';
