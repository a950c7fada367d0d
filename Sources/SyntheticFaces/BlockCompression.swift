import Foundation

/// The loss of JPEG compression without its bytes: YCbCr, optionally colour at half resolution, 8×8
/// cosine transform, quantisation by the standard's example tables (ITU-T T.81, annex K.1) scaled by
/// quality as libjpeg does, and back.
///
/// Kept apart from the libjpeg shim so that synthetic pictures do not depend on a library's version
/// and so that a patch can be compressed on a block grid of its own.
struct BlockCompression: Sendable {
  private let luma: [SIMD8<Float>]
  private let chroma: [SIMD8<Float>]
  let subsampled: Bool
  /// Where the first block begins, 0…7, for pictures that were cropped after compression.
  let gridX: Int
  let gridY: Int

  init(quality: Int, subsampled: Bool, gridX: Int = 0, gridY: Int = 0) {
    precondition((1...100).contains(quality), "BlockCompression: expected a quality of 1…100")
    let scale = quality < 50 ? 5000 / quality : 200 - 2 * quality
    func table(_ values: [Int]) -> [SIMD8<Float>] {
      (0..<8).map { row in
        var line = SIMD8<Float>.zero
        for k in 0..<8 {
          line[k] = Float(min(max((values[row * 8 + k] * scale + 50) / 100, 1), 255))
        }
        return line
      }
    }
    luma = table(Self.lumaTable)
    chroma = table(Self.chromaTable)
    self.subsampled = subsampled
    self.gridX = gridX
    self.gridY = gridY
  }

  /// The picture (0…255) after compression and decompression, rounded to whole display values.
  func applied(to picture: Canvas) -> Canvas {
    let w = picture.width
    let h = picture.height
    // Whole 16-pixel units, borders repeated.
    let pw = (w + gridX + 15) / 16 * 16
    let ph = (h + gridY + 15) / 16 * 16
    var y = [Float](repeating: 0, count: pw * ph)
    var cb = y
    var cr = y
    for j in 0..<ph {
      let row = min(max(j - gridY, 0), h - 1) * w
      for i in 0..<pw {
        let p = picture.pixels[row + min(max(i - gridX, 0), w - 1)]
        let k = j * pw + i
        y[k] = 0.299 * p.x + 0.587 * p.y + 0.114 * p.z - 128
        cb[k] = -0.168_736 * p.x - 0.331_264 * p.y + 0.5 * p.z
        cr[k] = 0.5 * p.x - 0.418_688 * p.y - 0.081_312 * p.z
      }
    }
    quantise(&y, pw, ph, luma)
    if subsampled {
      cb = halved(cb, pw, ph)
      cr = halved(cr, pw, ph)
      quantise(&cb, pw / 2, ph / 2, chroma)
      quantise(&cr, pw / 2, ph / 2, chroma)
    } else {
      quantise(&cb, pw, ph, chroma)
      quantise(&cr, pw, ph, chroma)
    }
    var result = picture
    for j in 0..<h {
      for i in 0..<w {
        let a = i + gridX
        let b = j + gridY
        let l = y[b * pw + a] + 128
        let k = subsampled ? (b / 2) * (pw / 2) + a / 2 : b * pw + a
        let u = cb[k]
        let v = cr[k]
        var p = SIMD4(l + 1.402 * v, l - 0.344_136 * u - 0.714_136 * v, l + 1.772 * u, 0)
        p.clamp(lowerBound: .zero, upperBound: SIMD4(repeating: 255))
        result.pixels[j * w + i] = p.rounded(.toNearestOrEven)
      }
    }
    return result
  }

  private func halved(_ plane: [Float], _ w: Int, _ h: Int) -> [Float] {
    var out = [Float](repeating: 0, count: w * h / 4)
    for j in 0..<(h / 2) {
      for i in 0..<(w / 2) {
        let k = 2 * j * w + 2 * i
        out[j * (w / 2) + i] = 0.25 * (plane[k] + plane[k + 1] + plane[k + w] + plane[k + w + 1])
      }
    }
    return out
  }

  /// Transform, quantise and transform back every 8×8 block of a plane in place.
  private func quantise(_ plane: inout [Float], _ w: Int, _ h: Int, _ table: [SIMD8<Float>]) {
    let basis = Self.basis
    let transposed = Self.basisTransposed
    plane.withUnsafeMutableBufferPointer { plane in
      withUnsafeTemporaryAllocation(of: SIMD8<Float>.self, capacity: 16) { block in
        for by in stride(from: 0, to: h, by: 8) {
          for bx in stride(from: 0, to: w, by: 8) {
            let start = UnsafeMutableRawPointer(plane.baseAddress! + by * w + bx)
            let pitch = w * MemoryLayout<Float>.stride
            for r in 0..<8 {
              block[r] = start.loadUnaligned(fromByteOffset: r * pitch, as: SIMD8<Float>.self)
            }
            // C·B, then (C·B)·Cᵀ row by row.
            Self.multiply(basis, block)
            for r in 0..<8 {
              let line = block[8 + r]
              var sum = transposed[0] * line[0]
              for k in 1..<8 { sum += transposed[k] * line[k] }
              block[r] = (sum / table[r]).rounded(.toNearestOrEven) * table[r]
            }
            // Back: Cᵀ·Q·C.
            Self.multiply(transposed, block)
            for r in 0..<8 {
              let line = block[8 + r]
              var sum = basis[0] * line[0]
              for k in 1..<8 { sum += basis[k] * line[k] }
              start.storeBytes(of: sum, toByteOffset: r * pitch, as: SIMD8<Float>.self)
            }
          }
        }
      }
    }
  }

  /// Rows 8…15 of `block` = `matrix` × rows 0…7.
  @inline(__always)
  private static func multiply(
    _ matrix: [SIMD8<Float>], _ block: UnsafeMutableBufferPointer<SIMD8<Float>>
  ) {
    for r in 0..<8 {
      let weights = matrix[r]
      var sum = block[0] * weights[0]
      for k in 1..<8 { sum += block[k] * weights[k] }
      block[8 + r] = sum
    }
  }

  /// Row k: the orthonormal cosine of frequency k at the eight positions.
  private static let basis: [SIMD8<Float>] = (0..<8).map { k in
    var row = SIMD8<Float>.zero
    for x in 0..<8 {
      let angle = (2 * Double(x) + 1) * Double(k) * Double.pi / 16
      row[x] = Float(cos(angle) * (k == 0 ? (1.0 / 8).squareRoot() : 0.5))
    }
    return row
  }

  private static let basisTransposed: [SIMD8<Float>] = (0..<8).map { x in
    var row = SIMD8<Float>.zero
    for k in 0..<8 { row[k] = basis[k][x] }
    return row
  }

  private static let lumaTable = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
  ]

  private static let chromaTable = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  ]
}
