import CWebP

/// WebP in memory, decoded by libwebp with its own ("fancy") upsampling of chroma, as Pillow does. Of an
/// animation the first frame, on black where it leaves the canvas free.
enum WebPCodec {
  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_WEBP_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_webp_status) throws {
        guard status != RFM_WEBP_OK else { return }
        throw error(status, message, name: name)
      }
      var reader: OpaquePointer?
      var frame = rfm_webp_frame()
      try check(
        rfm_webp_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &reader, &frame,
          message))
      defer { rfm_webp_close(reader) }
      let (width, height) = (Int(frame.width), Int(frame.height))
      try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
      let (wide, high) = (Int(frame.frame_width), Int(frame.frame_height))
      guard frame.lossless == 0 || wide * high * 4 <= limits.libraryMemory else {
        throw ImageError(
          name: name, reason: .tooLarge,
          detail: "\(wide)×\(high) lossless WebP pixels need more memory than allowed; save it as"
            + " PNG")
      }
      func decode(
        into pixels: UnsafeMutablePointer<UInt8>, stride: Int, width: Int, height: Int
      ) throws {
        try check(
          rfm_webp_decode(reader, Int64(width), Int64(height), pixels, stride, message))
      }
      // The library itself makes a huge picture smaller while it decodes.
      let factor = RowReducer.factor(
        width: width, height: height, wholePixels: limits.wholePixels)
      let fillsTheCanvas = wide == width && high == height
      guard factor == 1 || fillsTheCanvas else {
        throw ImageError(
          name: name, reason: .tooLarge,
          detail: "\(width)×\(height) pixels around a smaller frame are more than the allowed"
            + " \(limits.wholePixels)")
      }
      let (outWidth, outHeight) = (
        (width + factor - 1) / factor, (height + factor - 1) / factor
      )
      let count = outWidth * outHeight * 3
      let pixels = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
        let out = buffer.baseAddress!
        if fillsTheCanvas {
          try decode(into: out, stride: outWidth * 3, width: outWidth, height: outHeight)
        } else {
          buffer.initialize(repeating: 0)
          try decode(
            into: out + (Int(frame.top) * width + Int(frame.left)) * 3, stride: width * 3,
            width: wide, height: high)
        }
        initialised = count
      }
      return RGBImage(width: outWidth, height: outHeight, pixels: pixels)
        .oriented(by: orientation(reader))
    }
  }

  private static func orientation(_ reader: OpaquePointer?) -> ExifOrientation {
    func chunk(_ kind: String) -> UnsafeRawBufferPointer? {
      var length = 0
      let bytes = rfm_webp_chunk(reader, kind, &length)
      return bytes.map { UnsafeRawBufferPointer(start: $0, count: length) }
    }
    return ExifOrientation.of(exif: chunk("EXIF"), xmp: chunk("XMP "))
  }

  private static func error(
    _ status: rfm_webp_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    switch status {
    case RFM_WEBP_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    default:
      ImageError(name: name, reason: .damaged, detail: "damaged WebP: \(oneLine(message))")
    }
  }
}
