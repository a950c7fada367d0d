/// A face's rectangle as dlib gives it, in pixels of the image, before margin and squaring. Its corners
/// are the centres of pixels that both belong to it, so it is `right − left + 1` pixels wide; dlib's
/// detector may put them outside the image.
public struct FaceBox: Sendable, Equatable {
  public var left: Float
  public var top: Float
  public var right: Float
  public var bottom: Float
  /// How far above the detector's threshold it is; what is found has more than 0.
  public var score: Float

  public init(left: Float, top: Float, right: Float, bottom: Float, score: Float = 0) {
    self.left = left
    self.top = top
    self.right = right
    self.bottom = bottom
    self.score = score
  }

  public var width: Float { right - left + 1 }
  public var height: Float { bottom - top + 1 }
  public var area: Float { width * height }

  /// Left, top, right, bottom: a row of a shard's `boxes`.
  public var corners: [Float] { [left, top, right, bottom] }

  /// The same centre, sides `factor` times as long.
  func enlarged(by factor: Float) -> FaceBox {
    let (x, y) = (width * (factor - 1) / 2, height * (factor - 1) / 2)
    return FaceBox(
      left: left - x, top: top - y, right: right + x, bottom: bottom + y, score: score)
  }

  /// Area in common over area of both together: 1 for the same box, 0 for boxes apart.
  func intersectionOverUnion(_ other: FaceBox) -> Float {
    let across = min(right, other.right) - max(left, other.left) + 1
    let down = min(bottom, other.bottom) - max(top, other.top) + 1
    guard across > 0, down > 0 else { return 0 }
    return across * down / (area + other.area - across * down)
  }
}
