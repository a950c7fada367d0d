import Tensors

/// The two random streams with which one image is erased.
///
/// They are addressed by (seed, epoch, sample) and never by rank or by position in a batch:
/// the same image is erased in the same way on any number of ranks. Where and how large the erased
/// regions are comes from `placement`; the noise that fills them comes from `fill`, a stream of its
/// own, so that the choice of fill never changes which pixels are erased.
public struct ErasingStreams: Sendable {
  /// Decides whether, where and how much is erased (purpose `erase`).
  public var placement: CounterGenerator
  /// Fills what is erased (purpose `fill`).
  public var fill: CounterGenerator

  public init(seed: UInt64, epoch: UInt64, sample: UInt64) {
    placement = CounterGenerator(seed: seed, epoch: epoch, sample: sample, purpose: .erase)
    fill = CounterGenerator(seed: seed, epoch: epoch, sample: sample, purpose: .fill)
  }

  /// Whether this image is erased at all; true with the given probability.
  ///
  /// The first draw of `placement`, made before any other: call it exactly once for each image,
  /// whatever the probability, and then hand the same streams to the erasing method. Images for
  /// which it is false need no attention map.
  public mutating func chooses(probability: Double) -> Bool {
    placement.uniformDouble() < probability
  }
}
