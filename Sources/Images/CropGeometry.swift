import Tensors

/// Where a crop lies in an image, and whether it is mirrored.
public struct CropGeometry: Hashable, Sendable {
  /// The crop's first row and column in the image.
  public var top: Int
  public var left: Int
  /// Side of the square crop.
  public var side: Int
  /// Whether the crop is mirrored left to right after it is cut.
  public var isFlipped: Bool

  public init(top: Int, left: Int, side: Int, isFlipped: Bool = false) {
    self.top = top
    self.left = left
    self.side = side
    self.isFlipped = isFlipped
  }

  /// The crop in the middle, for evaluation. Of an odd margin the smaller half is above and left.
  public static func centre(height: Int, width: Int, side: Int) -> CropGeometry {
    CropGeometry(top: (height - side) / 2, left: (width - side) / 2, side: side)
  }

  /// A crop anywhere in the image and, if `flips`, mirrored with probability 1/2. All places are
  /// equally likely. The draws belong to (seed, visit, sample): they are the same on any rank.
  public static func random(
    height: Int, width: Int, side: Int, flips: Bool, seed: UInt64, visit: Int, sample: Int
  ) -> CropGeometry {
    var place = CounterGenerator(
      seed: seed, epoch: UInt64(visit), sample: UInt64(sample), purpose: .crop)
    var mirror = CounterGenerator(
      seed: seed, epoch: UInt64(visit), sample: UInt64(sample), purpose: .flip)
    let top = place.below(height - side + 1)
    let left = place.below(width - side + 1)
    return CropGeometry(
      top: top, left: left, side: side, isFlipped: flips && mirror.below(2) == 1)
  }

  /// Cuts the crop from one channel: `plane` is [height, width], `out` [side, side].
  public func cut(
    plane: UnsafeBufferPointer<UInt8>, width: Int, into out: UnsafeMutableBufferPointer<UInt8>
  ) {
    precondition(out.count >= side * side && plane.count >= (top + side) * width)
    for y in 0..<side {
      let row = (top + y) * width + left
      for x in 0..<side {
        out[y * side + x] = plane[row + (isFlipped ? side - 1 - x : x)]
      }
    }
  }
}
