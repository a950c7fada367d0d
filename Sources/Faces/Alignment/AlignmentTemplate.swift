/// Where eyes, nose and mouth lie in an aligned face: the five points that InsightFace's 112-pixel crops
/// have (ArcFace, Deng et al. 2019; SphereFace's 96×112 before, 8 pixels to the left), with a margin
/// around as DeepfakeBench's `img_align_crop` gives.
enum AlignmentTemplate {
  /// The side of the square that the points are given in.
  static let side = 112.0

  /// Left eye, right eye (of the picture), nose's tip, corners of the mouth.
  static let points: [SIMD2<Double>] = [
    SIMD2(38.2946, 51.6963), SIMD2(73.5318, 51.5014), SIMD2(56.0252, 71.7366),
    SIMD2(41.5493, 92.3655), SIMD2(70.7299, 92.2041),
  ]

  /// The landmarks of the usual 68, counted from 0, that DeepfakeBench takes for them.
  static let landmarks = [37, 44, 30, 49, 55]

  /// Where the points shall lie in a crop of `size` pixels that shows `margin` times the template's
  /// square: (size · p/112 + size · (margin − 1)/2) / margin.
  static func points(size: Int, margin: Double) -> [SIMD2<Double>] {
    let size = Double(size)
    return points.map { ($0 * (size / side) + size * (margin - 1) / 2) / margin }
  }
}
