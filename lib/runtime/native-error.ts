/** @file The errors that native code throws: libtorch's words, and what they mean for numbers of JavaScript. */
import { type ErrorCode, JorchError } from './errors.js';

/** libtorch asks for int64 in many ways. In Python tensor([0, 1]) has that dtype, so nobody there sees these. */
const WANTS_WHOLE_NUMBERS =
  /expected scalar type Long but found|tensors used as indices must be long|xpected dtype (int32\/int64|int32 or int64|int64) for index|scalar types: Long, Int; but got|index tensor of type LongTensor|xpected a long tensor for index|"bincount_cpu" not implemented/;

const inWords = (message: string): string =>
  WANTS_WHOLE_NUMBERS.test(message)
    ? `${message.trimEnd().replace(/\.$/, '')}. Numbers of JavaScript make float32 tensors; whole ones are torch.tensor([0n, 1n]), torch.tensor([0, 1], { dtype: 'int64' }) or t.long()`
    : message;

/** JorchError as native code makes it. */
export const NativeError = class JorchErrorOfNative extends JorchError {
  constructor(code: ErrorCode, message: string) {
    super(code, inWords(message));
  }
};
Object.defineProperty(NativeError, 'name', { value: 'JorchError' });
