import Images

/// Videos for tests: pictures as they are, in the oldest container (AVI, as OpenDML's predecessor has it).
public enum MotionJPEG {
  /// An AVI file of pictures of one size, each a JPEG.
  public static func avi(_ pictures: [RGBImage], framesPerSecond: Int = 10) throws -> [UInt8] {
    let (width, height) = (pictures[0].width, pictures[0].height)
    let frames = try pictures.map {
      try JPEGCodec.encode($0, quality: 95, subsampled: false)
    }
    let largest = frames.map(\.count).max()!
    let header =
      words([
        1_000_000 / framesPerSecond, largest * framesPerSecond, 0, 0x10, frames.count, 0, 1,
        largest, width, height, 0, 0, 0, 0,
      ])
    let stream =
      Array("vidsMJPG".utf8)
      + words([
        0, 0, 0, 1, framesPerSecond, 0, frames.count, largest, 10_000, 0, width | height << 16,
      ])
    let format =
      words([40, width, height, 1 | 24 << 16]) + Array("MJPG".utf8)
      + words([width * height * 3, 0, 0, 0, 0])
    let lists =
      chunk("avih", header)
      + list("strl", chunk("strh", stream + words([0])) + chunk("strf", format))
    var index: [UInt8] = []
    var movie: [UInt8] = []
    for frame in frames {
      index += Array("00dc".utf8) + words([0x10, 4 + movie.count, frame.count])
      movie += chunk("00dc", frame)
    }
    let body = list("hdrl", lists) + list("movi", movie) + chunk("idx1", index)
    return Array("RIFF".utf8) + words([4 + body.count]) + Array("AVI ".utf8) + body
  }

  private static func words(_ values: [Int]) -> [UInt8] {
    values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
  }

  private static func chunk(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
    Array(name.utf8) + words([bytes.count]) + bytes + (bytes.count % 2 == 0 ? [] : [0])
  }

  private static func list(_ name: String, _ bytes: [UInt8]) -> [UInt8] {
    chunk("LIST", Array(name.utf8) + bytes)
  }
}
