import Images

/// How a stored picture is to be turned or mirrored: the upper left part of the matrix in a track's header
/// (ISO/IEC 14496-12, 8.3.2), (x′, y′) = (a·x + c·y, b·x + d·y).
struct DisplayMatrix: Equatable {
  /// nil where the matrix does more than turn by quarters and mirror.
  let orientation: ExifOrientation?

  /// - Parameter numbers: a, b, c, d, of any common scale.
  init(_ numbers: (Int32, Int32, Int32, Int32)) {
    let (a, b, c, d) = (
      Double(numbers.0), Double(numbers.1), Double(numbers.2), Double(numbers.3)
    )
    /// Whether the first two are nothing beside the others, as sine and cosine of a quarter.
    func vanish(_ small: Double, _ other: Double, beside large: Double, _ second: Double) -> Bool {
      max(abs(small), abs(other)) <= 0.01 * min(abs(large), abs(second))
    }
    if vanish(b, c, beside: a, d), a != 0 {
      orientation =
        a > 0 ? (d > 0 ? .upright : .flipped) : (d > 0 ? .mirrored : .upsideDown)
    } else if vanish(a, d, beside: b, c), b != 0 {
      orientation =
        b > 0 ? (c > 0 ? .transposed : .turnedRight) : (c > 0 ? .turnedLeft : .transversed)
    } else {
      orientation = nil
    }
  }

  /// Whether width and height change places.
  var isTurned: Bool { (orientation?.rawValue ?? 1) >= 5 }

  /// What is done to the stored picture; nil for nothing.
  var words: String? {
    switch orientation {
    case .upright: nil
    case .mirrored: "mirrored"
    case .upsideDown: "turned by 180°"
    case .flipped: "flipped"
    case .transposed: "mirrored, turned by 270°"
    case .turnedRight: "turned by 90°"
    case .transversed: "mirrored, turned by 90°"
    case .turnedLeft: "turned by 270°"
    case nil: "as stored (the matrix is none of a quarter turn)"
    }
  }
}
