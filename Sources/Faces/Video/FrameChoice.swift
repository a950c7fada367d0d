/// Which frames of a video are taken.
public struct FrameChoice: Sendable, Equatable {
  /// nil for all.
  public let count: Int?

  private init(count: Int?) { self.count = count }

  /// Every frame.
  public static let all = FrameChoice(count: nil)

  /// `count` frames evenly spaced, the first and the last among them (of one the first alone), or all
  /// where there are no more: the indices of NumPy's `linspace(0, n − 1, count, dtype=int)`, which cuts
  /// off fractions, as in DeepfakeBench's `preprocess.py`.
  public static func evenly(_ count: Int) -> FrameChoice {
    precondition(count >= 1, "at least one frame is taken")
    return FrameChoice(count: count)
  }

  /// The indices among `total` frames, ascending.
  public func indices(of total: Int) -> [Int] {
    guard let count, count < total else { return Array(0..<max(0, total)) }
    guard count > 1 else { return [0] }
    // The same operations on the same type as NumPy's, so that the same side of a whole number is met.
    let step = Double(total - 1) / Double(count - 1)
    return (0..<count - 1).map { Int(Double($0) * step) } + [total - 1]
  }
}
