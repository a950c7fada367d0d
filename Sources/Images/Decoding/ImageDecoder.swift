import Foundations

/// How much an image may ask for. A picture may come from anywhere; its header is only a claim.
public struct DecodingLimits: Sendable {
  /// Images of more pixels are refused.
  public var maximumPixels = 1 << 29
  /// Images of more pixels than this are decoded at a fraction of their size, so that memory stays
  /// bounded: JPEG at 1/2, 1/4 or 1/8 inside the inverse DCT, WebP by its library, everything else by
  /// averaging square blocks as rows arrive. 2²⁵ (a photograph of 33 million pixels) takes 100 MB.
  public var wholePixels = 1 << 25
  /// Sides longer than this are refused.
  public var maximumSide = 1_000_000
  /// What a library may allocate for a picture, where it has to hold it whole: progressive JPEG needs
  /// 2 bytes for every coefficient at full size, AVIF and HEIF 7 to 10 a pixel.
  public var libraryMemory = 768 << 20

  public init() {}
}

/// JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIF and PNM to 8-bit RGB, told apart by content and not by the
/// file's name. Of a file with several pictures the first, of HEIF the primary one.
///
/// The pixels are those of Pillow's `ImageOps.exif_transpose(Image.open(…)).convert("RGB")`, for HEIF
/// with pillow-heif: the orientation in EXIF or XMP is applied (in AVIF and HEIF that of the container,
/// `AVIFCodec`, `HEIFCodec`), grey becomes three equal channels, palettes are looked up, alpha is
/// dropped without blending in a background, the inks of a CMYK JPEG are stored inverted whether or not
/// Adobe's marker says so, and gamma and colour profiles change nothing. 16-bit samples of PNG and TIFF
/// lose their low byte (Pillow clips those of grey pictures, which leaves them white). PNM samples of
/// any `maxval` are scaled to 0 … 255 and rounded.
///
/// A file that is cut short or corrupt is an error, not a picture with grey parts: the detector would
/// learn the damage. A JPEG of which only the end marker is missing is whole. (In a PNG a chunk that
/// says how to turn the picture may be missing with the end.) Damage within the data of HEVC, AV1 and
/// lossy WebP often decodes to something else without a word: they have no checksums.
public enum ImageDecoder {
  /// Decodes a file. Throws ``ImageError``, which names it.
  public static func decode(path: String, limits: DecodingLimits = DecodingLimits()) throws
    -> RGBImage
  {
    try decode(path: BytePath(path), limits: limits)
  }

  public static func decode(path: BytePath, limits: DecodingLimits = DecodingLimits()) throws
    -> RGBImage
  {
    try ImageFile.withContents(of: path) {
      try decode(bytes: $0, name: path.description, limits: limits)
    }
  }

  /// Decodes a file's content; `name` is what errors call it.
  public static func decode(
    bytes: [UInt8], name: String, limits: DecodingLimits = DecodingLimits()
  ) throws -> RGBImage {
    try bytes.withUnsafeBytes { try decode(bytes: $0, name: name, limits: limits) }
  }

  public static func decode(
    bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits = DecodingLimits()
  ) throws -> RGBImage {
    switch ImageFormat(of: bytes) {
    case .jpeg:
      let image = try JPEGCodec.decode(bytes, name: name, limits: limits)
      return image.oriented(by: ExifOrientation.ofJPEG(bytes))
    case .png:
      let image = try PNGCodec.decode(bytes, name: name, limits: limits)
      return image.oriented(by: ExifOrientation.ofPNG(bytes))
    case .webP: return try WebPCodec.decode(bytes, name: name, limits: limits)
    case .tiff: return try TIFFCodec.decode(bytes, name: name, limits: limits)
    case .bmp: return try BMPDecoder.decode(bytes, name: name, limits: limits)
    case .gif: return try GIFDecoder.decode(bytes, name: name, limits: limits)
    case .avif: return try AVIFCodec.decode(bytes, name: name, limits: limits)
    case .heif: return try HEIFCodec.decode(bytes, name: name, limits: limits)
    case .pnm: return try PNMDecoder.decode(bytes, name: name, limits: limits)
    case .empty:
      throw ImageError(
        name: name, reason: .notAnImage, detail: "the file is empty", kind: "empty file")
    case .other(let kind):
      throw ImageError(
        name: name, reason: .notAnImage,
        detail: kind?.detail ?? "not an image (\(ImageFormat.readable))", kind: kind?.shortName)
    }
  }

  /// Whether the first bytes are those of a format that ``decode(path:limits:)`` reads.
  public static func recognises(_ start: UnsafeRawBufferPointer) -> Bool {
    ImageFormat(of: start).isReadable
  }

  static func check(width: Int, height: Int, name: String, limits: DecodingLimits) throws {
    guard width > 0 && height > 0 else {
      throw ImageError(
        name: name, reason: .damaged, detail: "the header says \(width)×\(height) pixels")
    }
    let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
    guard !overflow, pixels <= limits.maximumPixels, width <= limits.maximumSide,
      height <= limits.maximumSide
    else {
      throw ImageError(
        name: name, reason: .tooLarge,
        detail: "\(width)×\(height) pixels are more than the allowed \(limits.maximumPixels)"
          + " in all and \(limits.maximumSide) a side")
    }
  }
}
