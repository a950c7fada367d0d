import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Images

/// WebP, TIFF, BMP, GIF, AVIF and HEIF against Pillow (Tests/Oracle/image_formats.py).
@Suite struct ImageFormatTests {
  struct Expected: Decodable {
    let file: String
    /// A PNG beside it that has the pixels.
    let picture: String
    /// Largest difference that is allowed.
    let tolerance: Int
  }

  static func files() throws -> [Expected] { try ImageGolden.load("Formats/expected.json") }

  private static func bytes(_ file: String) throws -> [UInt8] {
    try ImageGolden.bytes("Formats/" + file)
  }

  @Test(arguments: ["webp", "tif", "bmp", "gif", "avif", "heic"])
  func everyKindOfFileDecodesToPillowsPixels(ending: String) throws {
    let files = try Self.files().filter { $0.file.hasSuffix("." + ending) }
    #expect(files.count > 15)
    for expected in files {
      guard
        let image = try? ImageDecoder.decode(bytes: Self.bytes(expected.file), name: expected.file)
      else {
        Issue.record("\(expected.file) was refused")
        continue
      }
      let picture = try ImageDecoder.decode(
        bytes: Self.bytes(expected.picture), name: expected.picture)
      #expect(
        image.width == picture.width && image.height == picture.height,
        "\(expected.file): \(image.width)×\(image.height)")
      guard image.pixels.count == picture.pixels.count else { continue }
      let largest = zip(image.pixels, picture.pixels).map { abs(Int($0) - Int($1)) }.max()!
      #expect(largest <= expected.tolerance, "\(expected.file) differs by up to \(largest)")
    }
  }

  // MARK: Damage

  /// A file of each kind, and how many bytes at its end nobody misses: the mark of the end, padding, or
  /// what stands behind the picture.
  static let samples: [(file: String, free: Int)] = [
    ("lossy-80.webp", 0), ("lossless.webp", 0), ("lossy-alpha.webp", 0), ("animated.webp", 0),
    ("exif-6.webp", 0), ("rgb-lzw.tif", 0), ("rgb-jpeg.tif", 0), ("rgb-packbits.tif", 0),
    ("rgb-16-tiles-deflate.tif", 0), ("rgb-planes-deflate.tif", 0), ("ycbcr-22.tif", 0),
    ("bilevel-group4.tif", 4), ("palette-4.bmp", 3), ("rgb-565-124.bmp", 2), ("bgr-24.bmp", 1),
    ("run-length-8.bmp", 2), ("run-length-4-mixed.bmp", 2), ("colours-16.gif", 3),
    ("interlaced.gif", 3), ("420.avif", 0), ("alpha.avif", 0), ("10-bit.avif", 0),
    ("420.heic", 0), ("grid.heic", 0), ("alpha.heic", 0),
  ]

  @Test(arguments: samples)
  func aFileCutShortAnywhereIsAnErrorThatNamesIt(file: String, free: Int) throws {
    let whole = try Self.bytes(file)
    for length in 0..<whole.count - free {
      do {
        _ = try ImageDecoder.decode(bytes: Array(whole[..<length]), name: "some/face")
        Issue.record("\(length) of \(whole.count) bytes of \(file) decoded")
      } catch let error as ImageError {
        #expect(error.description.hasPrefix("some/face: "))
        #expect(!error.description.contains("\n"), "\(error)")
      }
    }
  }

  @Test(arguments: samples)
  func changedBytesGiveAnErrorOrAPicture(file: String, free: Int) throws {
    let whole = try Self.bytes(file)
    var draws = SeededDraws(seed: UInt64(whole.count))
    var limits = DecodingLimits()
    limits.wholePixels = 1 << 16
    limits.maximumPixels = 1 << 20
    limits.libraryMemory = 32 << 20
    for _ in 0..<200 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &draws) {
        bytes[Int.random(in: 0..<bytes.count, using: &draws)] = UInt8.random(
          in: 0...255, using: &draws)
      }
      do {
        let image = try ImageDecoder.decode(bytes: bytes, name: "changed", limits: limits)
        #expect(image.width * image.height <= limits.maximumPixels)
      } catch let error as ImageError {
        #expect(error.description.hasPrefix("changed: "))
      }
    }
  }

  @Test func aGIFWithFewerPixelsThanItSaysIsDamaged() throws {
    var gif = try Self.bytes("no-palette.gif")
    // The height of the frame; the codes are the same.
    let frame = try #require(gif.firstIndex(of: 0x2C))
    gif[frame + 7] += 1
    let error = try #require(throws: ImageError.self) {
      try ImageDecoder.decode(bytes: gif, name: "face.gif")
    }
    #expect(
      error.description == "face.gif: damaged GIF: a frame has fewer pixels than it says")
  }

  // MARK: What is not read

  /// A directory of short values behind a header, and 64 bytes of zeros as one strip.
  private static func tiff(_ tags: [(tag: UInt16, value: UInt16)]) -> [UInt8] {
    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let all = (tags + [(256, 4), (257, 4), (273, 8), (278, 4), (279, 64)]).sorted {
      $0.tag < $1.tag
    }
    var file: [UInt8] =
      [0x49, 0x49, 42, 0] + bytes(UInt32(8 + 64)) + [UInt8](repeating: 0, count: 64)
    file += bytes(UInt16(all.count))
    for entry in all {
      file += bytes(entry.tag) + bytes(UInt16(3)) + bytes(UInt32(1)) + bytes(UInt32(entry.value))
    }
    return file + bytes(UInt32(0))
  }

  @Test(
    arguments: [
      ([(258, 8), (262, 1)], nil), ([(258, 16), (262, 1)], nil),
      ([(258, 32), (262, 1), (339, 3)], "floating-point samples"),
      ([(258, 16), (262, 1), (339, 2)], "signed samples"),
      ([(258, 32), (262, 1)], "samples of 32 bits"), ([(258, 12), (262, 1)], "samples of 12 bits"),
      ([(258, 8), (262, 8), (277, 3)], "its colour space (photometric interpretation 8)"),
      ([(258, 8), (262, 2), (277, 2)], "a pixel of 2 samples"),
      ([(258, 8), (262, 1), (259, 34712)], "its compression (34712)"),
    ] as [([(UInt16, UInt16)], String?)])
  func aKindOfTIFFThatCannotBeReadIsCalledByItsName(
    tags: [(UInt16, UInt16)], words: String?
  ) throws {
    let file = Self.tiff(tags)
    guard let words else {
      #expect(try ImageDecoder.decode(bytes: file, name: "grey.tif").width == 4)
      return
    }
    let error = try #require(throws: ImageError.self) {
      try ImageDecoder.decode(bytes: file, name: "odd.tif")
    }
    #expect(error.reason == .notAnImage)
    #expect(
      error.description
        == "odd.tif: a kind of TIFF that can't be read: \(words) is not supported; save it with"
        + " 8 bits a sample, RGB or grey, as TIFF or PNG")
  }

  @Test func aKindOfBMPThatCannotBeReadIsCalledByItsName() throws {
    let whole = try Self.bytes("bgr-24.bmp")
    for (offset, byte, words) in [
      (14, UInt8(16), "its header of 16 bytes"), (30, 4, "its compression (4)"),
      (28, 25, "a pixel of 25 bits"), (30, 1, "a pixel of 24 bits (compression 1)"),
    ] {
      var bytes = whole
      bytes[offset] = byte
      let error = try #require(throws: ImageError.self) {
        try ImageDecoder.decode(bytes: bytes, name: "odd.bmp")
      }
      #expect(error.reason == .notAnImage, "\(error)")
      #expect(error.detail.hasPrefix("a kind of BMP that can't be read: \(words)"), "\(error)")
    }
  }

  // MARK: Size

  @Test func aHeaderThatClaimsTooMuchIsRefused() throws {
    var bmp = try Self.bytes("bgr-24.bmp")
    bmp.replaceSubrange(18..<26, with: [0, 0, 1, 0, 0, 0, 1, 0])
    var gif = try Self.bytes("no-palette.gif")
    gif.replaceSubrange(6..<10, with: [255, 255, 255, 255])
    var webP = try Self.bytes("offset-frame.webp")
    webP.replaceSubrange(24..<30, with: [255, 255, 255, 255, 255, 255])
    for (bytes, name) in [(bmp, "bmp"), (gif, "gif"), (webP, "webp")] {
      #expect(throws: ImageError.self, "\(name)") {
        try ImageDecoder.decode(bytes: bytes, name: name)
      }
    }
    // Of each kind a small picture is too large where less is allowed.
    var limits = DecodingLimits()
    limits.maximumPixels = 400
    for file in Self.samples {
      let error = try #require(throws: ImageError.self, "\(file.file)") {
        try ImageDecoder.decode(bytes: Self.bytes(file.file), name: "large", limits: limits)
      }
      #expect(error.reason == .tooLarge, "\(file.file): \(error)")
    }
  }

  /// The decoder would take memory for what the coded data say, not for what the container says.
  @Test func aHEICThatIsLargerThanItSaysIsRefused() throws {
    let bytes = try Self.bytes("larger-than-it-says.heic")
    #expect(bytes.withUnsafeBytes { HEVCPictureSize.largest(in: $0) } == 4096 * 4096)
    var limits = DecodingLimits()
    limits.libraryMemory = 32 << 20
    let error = try #require(throws: ImageError.self) {
      try ImageDecoder.decode(bytes: bytes, name: "bomb.heic", limits: limits)
    }
    #expect(
      error.description
        == "bomb.heic: 16777216 pixels of HEIF need more memory than allowed; save it as JPEG")
    // The sizes of honest ones, padded to whole blocks and at least 64 a side by the encoder.
    for (file, size) in [("420.heic", 64 * 64), ("odd-size.heic", 72 * 64), ("grid.heic", 64 * 64)]
    {
      let bytes = try Self.bytes(file)
      #expect(bytes.withUnsafeBytes { HEVCPictureSize.largest(in: $0) } == size, "\(file)")
    }
  }

  /// A list may name the same tile again and again.
  @Test func tilesAreBoundedByThePicture() throws {
    func tiles(_ bytes: [UInt8]) -> Int {
      bytes.withUnsafeBytes { HEVCPictureSize.mostTiles(in: $0) }
    }
    #expect(try tiles(Self.bytes("grid.heic")) == 4)
    #expect(try tiles(Self.bytes("420.heic")) == 0)
    let list = [0, 0, 0, 212] + Array("dimg".utf8) + [UInt8](repeating: 0, count: 204)
    let meta = [0, 0, 0, 224] + Array("meta".utf8) + [0, 0, 0, 0] + list
    #expect(tiles(meta) == 100)
    for length in 0..<meta.count { #expect(tiles(Array(meta[..<length])) <= 100) }
    for size: UInt8 in [0, 1, 7, 255] {
      #expect(tiles([size, size, size, size] + meta[4...]) <= 110)
    }
    // 48 tiles of a telephone's 12 million pixels, beside a map of a quarter of them; and a bomb.
    #expect(!HEVCPictureSize.isFarMore(tiles: 48, of: 2016 * 1512, than: 4032 * 3024))
    #expect(HEVCPictureSize.isFarMore(tiles: 65_536, of: 1 << 20, than: 4032 * 3024))
    #expect(HEVCPictureSize.isFarMore(tiles: .max, of: 1 << 20, than: 4032 * 3024))
  }

  /// What is larger than may be kept comes as means of blocks, from every kind that can be had in rows.
  @Test(arguments: [
    "even-size.webp", "rgb-lzw.tif", "rgb-tiles-big.tif", "rgb-planes-deflate.tif", "ycbcr-22.tif",
    "bgr-24.bmp", "quality-100.avif", "lossless.heic",
  ])
  func hugeImagesAreReducedWhileTheyAreRead(file: String) throws {
    let whole = try ImageDecoder.decode(bytes: Self.bytes(file), name: file)
    var limits = DecodingLimits()
    limits.wholePixels = whole.width * whole.height / 3
    let small = try ImageDecoder.decode(bytes: Self.bytes(file), name: file, limits: limits)
    #expect(small.width == (whole.width + 1) / 2 && small.height == (whole.height + 1) / 2)
    for y in 0..<small.height - 1 {
      for x in 0..<small.width - 1 {
        for c in 0..<3 {
          let sum = [0, 1].reduce(0) { total, down in
            let row = (2 * y + down) * whole.width + 2 * x
            return total + Int(whole.pixels[row * 3 + c]) + Int(whole.pixels[row * 3 + 3 + c])
          }
          let mean = Int(small.pixels[(y * small.width + x) * 3 + c])
          #expect(abs(mean * 4 - sum) <= 4)
        }
      }
    }
  }

  @Test func aPictureOnStandardInputIsTakenForOne() throws {
    for file in Self.samples {
      let bytes = try Self.bytes(file.file)
      #expect(StandardInput(bytes) == .image(bytes), "\(file.file)")
      #expect(bytes.prefix(32).withUnsafeBytes { ImageDecoder.recognises($0) }, "\(file.file)")
    }
  }
}

/// The same draws at every run (SplitMix64; Steele, Lea and Flood 2014).
struct SeededDraws: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
