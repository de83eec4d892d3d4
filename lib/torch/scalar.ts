/** @file Scalars that JavaScript's one number type cannot say: 2.0, an integer beyond 2^53, complex. */

/**
 * A number with a kind. `2.0` is `2` in JavaScript; where torch's type promotion tells them apart, say `Scalar.float(2)`.
 * @example torch.tensor([1, 2], { dtype: 'int64' }).mul(Scalar.float(2)).dtype // 'float32'
 */
export class Scalar {
  readonly scalarKind: 'float' | 'int' | 'complex';
  readonly value: number | bigint;
  readonly re: number;
  readonly im: number;

  private constructor(kind: Scalar['scalarKind'], value: number | bigint, im = 0) {
    this.scalarKind = kind;
    this.value = value;
    this.re = Number(value);
    this.im = im;
  }
  /** A floating scalar, whatever its value. */
  static float(value: number): Scalar {
    return new Scalar('float', value);
  }
  /** An integer scalar; `value` must be whole. */
  static int(value: number | bigint): Scalar {
    return new Scalar('int', typeof value === 'bigint' ? value : Math.trunc(value));
  }
  /** A complex scalar. */
  static complex(re: number, im: number): Scalar {
    return new Scalar('complex', re, im);
  }
}
