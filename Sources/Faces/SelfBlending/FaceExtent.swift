/// Where in a picture the face lies that is blended with itself: what is inside it, in pixels of which the
/// first has its middle at (0, 0).
public enum FaceExtent: Sendable, Equatable {
  /// The convex hull of landmarks, by its corners in the order in which x turns to y around it.
  case hull([SIMD2<Double>])
  /// An upright ellipse.
  case ellipse(centre: SIMD2<Double>, radii: SIMD2<Double>)

  /// Whether a point lies in the face.
  func contains(_ point: SIMD2<Double>) -> Bool {
    switch self {
    case .ellipse(let centre, let radii):
      let place = (point - centre) / radii
      return (place * place).sum() <= 1
    case .hull(let corners):
      return corners.withUnsafeBufferPointer { corners in
        var before = corners[corners.count - 1]
        for corner in corners {
          if Self.turn(before, corner, point) < 0 { return false }
          before = corner
        }
        return true
      }
    }
  }

  /// Twice the area of a triangle; negative where it goes round the other way.
  private static func turn(
    _ a: SIMD2<Double>, _ b: SIMD2<Double>, _ c: SIMD2<Double>
  ) -> Double {
    let (side, other) = (b - a, c - a)
    return side.x * other.y - side.y * other.x
  }
}

extension FaceExtent {
  /// The least share of a picture that landmarks must enclose to be those of the face that it shows.
  private static let leastShare = 0.02

  /// The hull of landmarks.
  ///
  /// - Parameters:
  ///   - landmarks: in pixels of the picture.
  ///   - width: of the picture.
  ///   - height: of the picture.
  /// - Returns: nil if they are not those of a face in the picture: not finite, their mean outside, or
  ///   enclosing next to nothing.
  public init?(landmarks: [SIMD2<Float>], width: Int, height: Int) {
    let points = landmarks.map { SIMD2<Double>($0) }
    let size = SIMD2(Double(width), Double(height))
    // Far beyond any picture, so that products are finite.
    let far = 1e9
    guard points.count >= 3, points.allSatisfy({ abs($0.x) < far && abs($0.y) < far }) else {
      return nil
    }
    let mean = points.reduce(.zero, +) / Double(points.count)
    guard mean.x >= 0, mean.y >= 0, mean.x < size.x, mean.y < size.y else { return nil }
    let corners = Self.convexHull(of: points)
    let area =
      corners.indices.dropFirst(2).reduce(0.0) {
        $0 + Self.turn(corners[0], corners[$1 - 1], corners[$1])
      } / 2
    guard area >= Self.leastShare * size.x * size.y else { return nil }
    self = .hull(corners)
  }

  /// Andrew's monotone chain ("Another efficient algorithm for convex hulls in two dimensions", 1979).
  private static func convexHull(of points: [SIMD2<Double>]) -> [SIMD2<Double>] {
    let sorted = points.sorted { ($0.x, $0.y) < ($1.x, $1.y) }
    func chain(_ points: some Sequence<SIMD2<Double>>) -> [SIMD2<Double>] {
      var chain: [SIMD2<Double>] = []
      for point in points {
        while chain.count >= 2, turn(chain[chain.count - 2], chain[chain.count - 1], point) <= 0 {
          chain.removeLast()
        }
        chain.append(point)
      }
      return Array(chain.dropLast())
    }
    return chain(sorted) + chain(sorted.reversed())
  }

  /// The ellipse that landmarks would fill, as wide and as high as they are in the mean within boxes of
  /// dlib's detector (`Tests/Oracle/faces.py`: 37 faces).
  ///
  /// - Parameters:
  ///   - box: the face in the source image, before margin and squaring: left, top, right, bottom; nil: a
  ///     square in the middle of the crop.
  ///   - margin: side of what the crop shows over that of the box; nil where nobody knows it. Then it is
  ///     taken for 1.6, between the 1.3 of FaceForensics++ and looser crops: rather too small, so that the
  ///     seam lies on the face, than in the background.
  ///   - width: of the picture.
  ///   - height: of the picture.
  public init(box: SIMD4<Float>? = nil, margin: Double?, width: Int, height: Int) {
    let size = SIMD2(Double(width), Double(height))
    let usable = box.flatMap { box in
      let sides = SIMD2<Double>(Double(box[2] - box[0]), Double(box[3] - box[1]))
      return margin != nil && sides.x > 0 && sides.y > 0 && sides.max() < 1e9
        && sides.max() < 4 * sides.min() ? (box, sides) : nil
    }
    let margin = margin ?? 1.6
    var sides = SIMD2(1.0, 1.0)
    // Of the box's left and top corner, from those of the crop.
    var corner = SIMD2(repeating: (margin - 1) / 2)
    if let (box, found) = usable {
      sides = found
      let start = SIMD2(Double(box[0]), Double(box[1]))
      let side = margin * sides.max()
      // The crop begins in the image.
      let origin = start + sides / 2 - side / 2
      corner = start - origin.replacing(with: 0, where: origin .< 0)
    }
    let scale = size / (margin * sides.max())
    let centre = (corner + sides * SIMD2(0.5, 0.56)) * scale - 0.5
    guard usable == nil || (centre.min() >= 0 && centre.x < size.x && centre.y < size.y) else {
      self.init(margin: margin, width: width, height: height)
      return
    }
    self = .ellipse(centre: centre, radii: sides * SIMD2(0.48, 0.46) * scale)
  }
}
