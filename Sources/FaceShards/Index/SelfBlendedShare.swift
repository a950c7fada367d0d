/// Which of the fakes of a balanced ``SampleOrder`` are made of real faces: spread as evenly as can be, and
/// told by their number alone.
///
/// Of the first g fakes ⌊g · share⌋ are, exactly: the share is counted in 2⁻³², rounded up, so that a third of
/// three is one.
public struct SelfBlendedShare: Sendable, Equatable {
  private let parts: UInt64

  /// - Parameter share: 0…1.
  public init(_ share: Double) {
    precondition((0...1).contains(share), "a share is 0 to 1, not \(share)")
    parts = UInt64((share * 0x1p32).rounded(.up))
  }

  /// As a number.
  public var value: Double { Double(parts) * 0x1p-32 }
  /// Whether no fake is.
  public var isNone: Bool { parts == 0 }
  /// Whether every fake is.
  public var isWhole: Bool { parts == 1 << 32 }

  /// How many of the first `fakes` are.
  public func count(of fakes: Int) -> Int {
    let product = UInt64(fakes).multipliedFullWidth(by: parts)
    return Int(product.high << 32 | product.low >> 32)
  }
}
