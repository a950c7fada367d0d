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

  @Test func aGridHasItsPicturesInRowsOnPaper() {
    func plain(_ level: UInt8) -> RGBImage {
      RGBImage(width: 3, height: 2, pixels: [UInt8](repeating: level, count: 18))
    }
    let grid = PictureGrid.render([plain(1), plain(2), plain(3)], columns: 2, gap: 4)
    #expect(grid.width == 3 + 4 + 3 && grid.height == 2 + 4 + 2)
    var counts: [UInt8: Int] = [:]
    for y in 0..<grid.height {
      for x in 0..<grid.width {
        let offset = (y * grid.width + x) * 3
        let pixel = SIMD3(grid.pixels[offset], grid.pixels[offset + 1], grid.pixels[offset + 2])
        let cell: UInt8? =
          switch (x, y) {
          case (0..<3, 0..<2): 1
          case (7..., 0..<2): 2
          case (0..<3, 6...): 3
          default: nil
          }
        #expect(pixel == cell.map { SIMD3(repeating: $0) } ?? PictureGrid.paper)
        counts[cell ?? 0, default: 0] += 1
      }
    }
    #expect(counts == [0: 80 - 18, 1: 6, 2: 6, 3: 6])
    // A row that is not full is as long as it needs to be.
    #expect(PictureGrid.render([plain(1)], columns: 4, gap: 16) == plain(1))
  }
}
