import Foundation
import Testing

@testable import Images
@testable import Reports

@Suite struct HeatmapTests {
  @Test func theSmallestValueGetsTheFirstColourAndTheLargestTheLast() {
    let image = Heatmap.render([-2, 0, 1, 2], width: 2, height: 2, colors: .lagoon)
    func pixel(_ index: Int) -> SIMD3<UInt8> {
      SIMD3(image.pixels[index * 3], image.pixels[index * 3 + 1], image.pixels[index * 3 + 2])
    }
    #expect(pixel(0) == ColorMap.lagoon.colors[0])
    #expect(pixel(1) == ColorMap.lagoon[0.5])
    #expect(pixel(3) == ColorMap.lagoon.colors[255])
  }

  @Test func oddMapsAreDrawnToo() {
    func first(_ map: [Float]) -> SIMD3<UInt8> {
      let image = Heatmap.render(map, width: map.count, height: 1)
      return SIMD3(image.pixels[0], image.pixels[1], image.pixels[2])
    }
    #expect(first([3, 3, 3]) == ColorMap.ember.colors[0])
    #expect(first([.nan, 1, 2]) == SIMD3(128, 128, 128))
    #expect(first([.nan]) == SIMD3(128, 128, 128))
    #expect(
      first([.greatestFiniteMagnitude, -.greatestFiniteMagnitude]) == ColorMap.ember.colors[255])
    #expect(first([.infinity, 0, 1]) == ColorMap.ember.colors[255])
  }

  @Test func enlargingInterpolatesBetweenPixelCentres() {
    let large = Heatmap.resized([0, 1], width: 2, height: 1, toWidth: 4, height: 2)
    #expect(large == [0, 0.25, 0.75, 1, 0, 0.25, 0.75, 1])
    #expect(Heatmap.resized([1, 2, 3], width: 3, height: 1, toWidth: 3, height: 1) == [1, 2, 3])
    #expect(Heatmap.resized([5], width: 1, height: 1, toWidth: 2, height: 2) == [5, 5, 5, 5])
  }

  @Test func anOverlayIsTheGreyImageWhereTheMapIsLowAndColourWhereItIsHigh() {
    let image = RGBImage(width: 2, height: 1, pixels: [200, 200, 200, 200, 200, 200])
    let over = Heatmap.overlay([0, 1], width: 2, height: 1, on: image, strength: 1)
    #expect(Array(over.pixels[..<3]) == [170, 170, 170])
    let last = ColorMap.ember.colors[255]
    #expect(Array(over.pixels[3...]) == [last.x, last.y, last.z])
  }

  @Test func prototypesAreWrittenOneAMethodAndOnASheet() throws {
    let folder = NSTemporaryDirectory() + "rfm-pictures-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let side = 28
    var maps: [Float] = []
    for method in 0..<3 {
      for y in 0..<side {
        for x in 0..<side {
          let (dx, dy) = (Float(x - 8 - 5 * method), Float(y - 14))
          maps.append(exp(-(dx * dx + dy * dy) / 40))
        }
      }
    }
    let paths = try PrototypePictures.write(
      prototypes: maps, methods: ["swap", "a/b", "never"], counts: [100, 7, 0], width: side,
      height: side, beside: folder + "/prototypes.h5")
    #expect(
      paths.map { ($0 as NSString).lastPathComponent } == [
        "prototypes.png", "prototypes-swap.png", "prototypes-a_b.png",
      ])
    let single = try ImageDecoder.decode(path: paths[1])
    #expect(single.width == 224 && single.height == 224)
    // The brightest spot is where the map is highest.
    let brightest = (0..<224 * 224).max {
      single.pixels[$0 * 3 + 1] < single.pixels[$1 * 3 + 1]
    }!
    #expect(abs(brightest % 224 - 68) < 8 && abs(brightest / 224 - 116) < 8)
    let sheet = try ImageDecoder.decode(path: paths[0])
    #expect(sheet.width == 16 + 2 * 240 && sheet.height > 224 + 50)
    if let keep = ProcessInfo.processInfo.environment["RFM_KEEP_PICTURES"] {
      try PNGCodec.write(sheet, to: keep + "/prototypes.png")
    }
  }

  @Test func writingDarkensThePaperWithinTheTextsWidth() {
    var sheet = Sheet(width: 300, height: 40)
    let text = "Blended-swap 0.87 (n=100)"
    sheet.write(text, x: 10, y: 25)
    let width = Sheet.width(of: text)
    var dark = 0
    for y in 0..<40 {
      for x in 0..<300 where sheet.image.pixels[(y * 300 + x) * 3] < 120 {
        dark += 1
        #expect(x >= 9 && x <= 10 + width + 1 && y >= 10 && y <= 30)
      }
    }
    #expect(dark > 200)
    #expect(Sheet.width(of: Sheet.fitting(text, width: 80)) <= 80)
    #expect(Sheet.fitting("short", width: 80) == "short")
  }

  @Test func whatHangsOverTheEdgeIsCutOff() {
    var sheet = Sheet(width: 10, height: 10)
    let red = RGBImage(
      width: 6, height: 6, pixels: (0..<36).flatMap { _ in [255, 0, 0] as [UInt8] })
    for (x, y) in [(-3, -3), (7, 7), (-20, 0), (0, 40)] { sheet.put(red, x: x, y: y) }
    let count = (0..<100).filter { sheet.image.pixels[$0 * 3 + 1] == 0 }.count
    #expect(count == 18)
    sheet.write("edge", x: -5, y: 3)
    sheet.write("edge", x: 8, y: 14)
  }

  @Test func anExplanationShowsFourPicturesOfTheSameSize() throws {
    let (width, height) = (64, 64)
    var face: [UInt8] = []
    for y in 0..<height { for x in 0..<width { face += [UInt8(x * 4), UInt8(y * 4), 90] } }
    let image = RGBImage(width: width, height: height, pixels: face)
    var erased = image
    for y in 20..<40 { for x in 10..<30 { erased.pixels[(y * width + x) * 3] = 255 } }
    let map = (0..<16 * 16).map { Float($0 % 16) }
    let sheet = ExplanationSheet.render(
      image: image, attention: map, attentionSize: (16, 16), activation: map.reversed(),
      activationSize: (16, 16),
      erased: erased, title: "faces/real/0001.jpg",
      verdict: ["probability of fake 0.93 (threshold 0.50)", "likeliest method: swap (0.81)"],
      side: 100)
    #expect(sheet.width == 16 + 4 * 116)
    let top = sheet.height - 16 - 100
    func pixel(_ x: Int, _ y: Int) -> ArraySlice<UInt8> {
      let offset = (y * sheet.width + x) * 3
      return sheet.pixels[offset..<offset + 3]
    }
    let face100 = ImageResize.bilinear(image, width: 100, height: 100)
    #expect(
      pixel(16 + 50, top + 60).elementsEqual(
        face100.pixels[(60 * 100 + 50) * 3..<(60 * 100 + 51) * 3]))
    // FAM grows to the right, CAM to the left, and the block is erased in the last picture only.
    #expect(pixel(16 + 116 + 97, top + 50).first! > pixel(16 + 116 + 3, top + 50).first!)
    #expect(pixel(16 + 232 + 97, top + 50).first! < pixel(16 + 232 + 3, top + 50).first!)
    #expect(pixel(16 + 348 + 30, top + 45).first! == 255)
    if let keep = ProcessInfo.processInfo.environment["RFM_KEEP_PICTURES"] {
      try PNGCodec.write(sheet, to: keep + "/explanation.png")
    }
  }
}
