import gzip, struct, sys
image = open(sys.argv[1], "rb").read()
head = bytearray((image[0x1f1] + 1) * 512)
head[0x1f1:0x281] = image[0x1f1:0x281]
text = 0x200 + struct.unpack_from("<H", image, 0x20e)[0]
end = image.index(0, text)
head[text:end] = image[text:end]
open(sys.argv[2], "wb").write(gzip.compress(bytes(head), 9, mtime=0))
