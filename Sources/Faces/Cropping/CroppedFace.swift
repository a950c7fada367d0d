import Images

/// One face, cut out of an image.
public struct CroppedFace: Sendable, Equatable {
  /// size × size pixels.
  public var image: RGBImage
  /// Where it was found, in pixels of the image it was cut out of.
  public var box: FaceBox
  /// The 68 landmarks in the crop's pixels, where there is a model. Points may lie outside.
  public var landmarks: [SIMD2<Float>]?
  /// [size, size], 255 where forged, else 0; where there is a mask.
  public var mask: [UInt8]?
}
