import Glibc

/// What the logits of a patch head come to for an image: (0, log(p/(1 − p))), where p is the mean over
/// positions of softmax's probability of fake (Chai et al. 2020).
///
/// Both p and 1 − p are summed up as logarithms, so that neither is rounded away near 0.
struct PatchScore {
  private var fake = LogarithmOfSum()
  private var real = LogarithmOfSum()

  /// log Σ exp(x), of terms that come one by one.
  private struct LogarithmOfSum {
    private var largest = -Double.infinity
    private var sum = 0.0

    mutating func add(_ x: Double) {
      if x > largest {
        sum = sum * exp(largest - x) + 1
        largest = x
      } else {
        sum += exp(x - largest)
      }
    }

    var value: Double { largest + log(sum) }
  }

  /// A position's logits.
  mutating func add(real: Double, fake: Double) {
    self.fake.add(-CrossEntropy.loss(real: real, fake: fake, label: 1))
    self.real.add(-CrossEntropy.loss(real: real, fake: fake, label: 0))
  }

  var logit: Double { fake.value - real.value }
}

/// Cross-entropy of two logits.
///
/// With label smoothing s (Szegedy et al. 2016) the label's class has the target 1 − s/2 and the other
/// one s/2: loss = −Σ target·log softmax, as PyTorch's `label_smoothing` has it.
public enum CrossEntropy {
  /// −log softmax(label), without overflow.
  public static func loss(real: Double, fake: Double, label: UInt8) -> Double {
    let margin = label == 0 ? fake - real : real - fake
    // log(1 + e^margin)
    return margin > 0 ? margin + log1p(exp(-margin)) : log1p(exp(margin))
  }

  /// The same with label smoothing.
  public static func loss(real: Double, fake: Double, label: UInt8, smoothing: Double) -> Double {
    let own = loss(real: real, fake: fake, label: label)
    if smoothing == 0 { return own }
    let other = loss(real: real, fake: fake, label: label == 0 ? 1 : 0)
    return (1 - smoothing / 2) * own + smoothing / 2 * other
  }

  /// ∂loss/∂z_fake = p_fake − target of fake; ∂loss/∂z_real is its opposite.
  public static func fakeGradient(
    real: Double, fake: Double, label: UInt8, smoothing: Double = 0
  ) -> Double {
    probabilityOfFake(real: real, fake: fake) - (label == 0 ? smoothing / 2 : 1 - smoothing / 2)
  }

  /// softmax(z)_fake = 1 / (1 + e^(z_real − z_fake)), in Double: float32 rounds every probability above
  /// 0.99999997 to 1, and low false positive rates are decided among exactly those images.
  ///
  /// - Parameter temperature: what logits are divided by first, see `Calibration`.
  public static func probabilityOfFake<Logit: BinaryFloatingPoint>(
    real: Logit, fake: Logit, temperature: Double = 1
  ) -> Double {
    1 / (1 + exp((Double(real) - Double(fake)) / temperature))
  }
}
