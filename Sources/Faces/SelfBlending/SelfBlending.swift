import Images
import Tensors

/// A fake made of one real face: two copies of its picture, one of them changed in colours and detail, one
/// moved a little and blended into the other through a mask of the face. What a detector can learn of it are
/// the seams and differences of statistics that face swaps have in common, and none of any method's own traces.
///
/// A value is one fake, already drawn: ``applied(to:face:)`` is a pure function.
///
/// Source: Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022, section 3.
public struct SelfBlending: Sendable {
  /// Shares of the mask that are blended in.
  private static let ratios = [0.25, 0.5, 0.75, 1, 1, 1]

  let change: CopyChange
  /// Whether the copy that is blended in is changed, or the one that it is blended into.
  let changesSource: Bool
  let movement: SourceMovement
  let mask: BlendMask
  /// What the weights of the mask are multiplied by.
  let ratio: Double
  /// What deforms the mask.
  let noise: CounterGenerator

  init(
    change: CopyChange, changesSource: Bool, movement: SourceMovement, mask: BlendMask,
    ratio: Double, noise: CounterGenerator
  ) {
    self.change = change
    self.changesSource = changesSource
    self.movement = movement
    self.mask = mask
    self.ratio = ratio
    self.noise = noise
  }

  /// The fake that is drawn for a sample.
  ///
  /// - Parameters:
  ///   - seed: of the run.
  ///   - visit: how often it was drawn before.
  ///   - sample: its number, another than that of the real face.
  public init(seed: UInt64, visit: Int, sample: Int) {
    var draws = Self.stream(seed: seed, visit: visit, sample: sample, part: 0)
    self.init(
      // In the order in which they are drawn.
      change: CopyChange(&draws), changesSource: draws.below(2) == 0,
      movement: SourceMovement(&draws), mask: BlendMask(&draws),
      ratio: Self.ratios[draws.below(Self.ratios.count)],
      noise: Self.stream(seed: seed, visit: visit, sample: sample, part: 1))
  }

  /// A fake, and where it was forged.
  ///
  /// - Parameter face: where the face lies.
  /// - Returns: the picture, and uint8 `[height, width]`, 255 where at least half of the mask is.
  public func applied(to picture: RGBImage, face: FaceExtent) -> (picture: RGBImage, mask: [UInt8])
  {
    let changed = change.applied(to: picture)
    let source = movement.applied(to: changesSource ? changed : picture)
    let weights = mask.weights(
      of: face, movedBy: movement, width: picture.width, height: picture.height, noise: noise)
    var blended = changesSource ? picture : changed
    source.pixels.withUnsafeBufferPointer { source in
      blended.pixels.withUnsafeMutableBufferPointer { pixels in
        for (pixel, weight) in weights.enumerated() where weight > 0 {
          let share = ratio * Double(weight)
          for i in 3 * pixel..<3 * pixel + 3 {
            pixels[i] = UInt8(level: share * Double(source[i]) + (1 - share) * Double(pixels[i]))
          }
        }
      }
    }
    return (blended, weights.map { $0 >= 0.5 ? 255 : 0 })
  }

  /// A real picture beside such fakes: changed as often as the copies are that faces are blended into, so
  /// that this does not tell fakes. The authors take those copies themselves for the real pictures.
  ///
  /// - Parameters:
  ///   - share: of the fakes that are made so, 0…1.
  ///   - seed, visit, sample: of the real picture.
  public static func real(
    _ picture: RGBImage, besides share: Double, seed: UInt64, visit: Int, sample: Int
  ) -> RGBImage {
    var draws = stream(seed: seed, visit: visit, sample: sample, part: 0)
    guard draws.uniformDouble() < share / 2 else { return picture }
    return CopyChange(&draws).applied(to: picture)
  }

  private static func stream(
    seed: UInt64, visit: Int, sample: Int, part: UInt8
  ) -> CounterGenerator {
    CounterGenerator(
      seed: seed, epoch: UInt64(visit), sample: UInt64(sample), purpose: .selfBlending, part: part)
  }
}
