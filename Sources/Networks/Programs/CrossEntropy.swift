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

  /// softmax of the fake logit.
  public static func probabilityOfFake(real: Double, fake: Double) -> Double {
    1 / (1 + exp(real - fake))
  }
}

#if canImport(Glibc)
  import func Glibc.exp
  import func Glibc.log1p
#else
  import func Musl.exp
  import func Musl.log1p
#endif
