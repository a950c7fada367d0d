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

/// Pixels of 0...255 as the network's input, (value / 255 − mean) / std, by table.
public struct PixelNormalisation: Sendable {
  public let mean: Float
  public let std: Float
  private let table: [Float]

  /// In float32 throughout, in the order of the formula, as PyTorch's transforms do.
  public init(mean: Float = 0.5, std: Float = 0.25) {
    precondition(std > 0, "std is positive")
    self.mean = mean
    self.std = std
    table = (0..<256).map { (Float($0) / 255 - mean) / std }
  }

  /// The network's input for a pixel value.
  public subscript(_ value: UInt8) -> Float { table[Int(value)] }

  /// Cuts `geometry` from an image and normalises it.
  ///
  /// - Parameters:
  ///   - image: uint8 [height, width, 3].
  ///   - width: of the image.
  ///   - geometry: what is cut.
  ///   - out: float32 [side, side, 3].
  public func cut(
    _ geometry: CropGeometry, of image: UnsafeBufferPointer<UInt8>, width: Int,
    into out: UnsafeMutableBufferPointer<Float>
  ) {
    let side = geometry.side
    precondition(
      out.count >= side * side * 3 && geometry.top >= 0 && geometry.left >= 0
        && geometry.left + side <= width && image.count >= (geometry.top + side) * width * 3,
      "a crop of \(side) at (\(geometry.top), \(geometry.left)) lies inside the image")
    table.withUnsafeBufferPointer { table in
      let table = table.baseAddress!
      for y in 0..<side {
        let from = image.baseAddress! + ((geometry.top + y) * width + geometry.left) * 3
        let to = out.baseAddress! + y * side * 3
        if geometry.isFlipped {
          var source = from + (side - 1) * 3
          for x in 0..<side {
            to[x * 3] = table[Int(source[0])]
            to[x * 3 + 1] = table[Int(source[1])]
            to[x * 3 + 2] = table[Int(source[2])]
            source -= 3
          }
        } else {
          for i in 0..<side * 3 { to[i] = table[Int(from[i])] }
        }
      }
    }
  }
}
