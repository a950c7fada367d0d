import Glibc

/// Cross-entropy of two logits.
public enum CrossEntropy {
  /// −log softmax(label), without overflow.
  public static func loss(real: Double, fake: Double, label: UInt8) -> Double {
    let margin = label == 0 ? fake - real : real - fake
    // log(1 + e^margin)
    return margin > 0 ? margin + log1p(exp(-margin)) : log1p(exp(margin))
  }

  /// ∂loss/∂z_fake = p_fake − [label is fake]; ∂loss/∂z_real is its opposite.
  public static func fakeGradient(real: Double, fake: Double, label: UInt8) -> Double {
    probabilityOfFake(real: real, fake: fake) - (label == 0 ? 0 : 1)
  }

  /// softmax(z)_fake = 1 / (1 + e^(z_real − z_fake)), in Double: float32 rounds every probability above
  /// 0.99999997 to 1, and low false positive rates are decided among exactly those images.
  public static func probabilityOfFake<Logit: BinaryFloatingPoint>(real: Logit, fake: Logit)
    -> Double
  {
    1 / (1 + exp(Double(real) - Double(fake)))
  }
}
